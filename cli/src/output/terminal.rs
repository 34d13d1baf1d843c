//! Pictures in the terminal.

use std::io::IsTerminal;

use attriburn_picture::Picture;
use image::{DynamicImage, RgbImage};

/// The widest picture, in columns.
const COLUMNS: u32 = 80;

/// Draws `picture` on stdout by the best protocol of the terminal: kitty, iTerm, sixel or half blocks. A closed pipe,
/// such as that of `head`, is no error.
pub fn draw(picture: &Picture) {
    let small = picture.fit_within(800);
    let (Ok(width), Ok(height)) = (u32::try_from(small.width()), u32::try_from(small.height()))
    else {
        return;
    };
    let Some(image) = RgbImage::from_raw(width, height, small.rgb().to_vec()) else {
        return;
    };
    let columns = terminal_columns().min(COLUMNS).min(width);
    // Graphics protocols ask the terminal for its abilities.
    let can_ask = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let config = viuer::Config {
        absolute_offset: false,
        width: Some(columns),
        use_kitty: can_ask,
        use_iterm: can_ask,
        use_sixel: can_ask,
        ..viuer::Config::default()
    };
    if let Err(error) = viuer::print(&DynamicImage::ImageRgb8(image), &config) {
        log::info!("the terminal cannot show the picture: {error}");
    }
}

fn terminal_columns() -> u32 {
    let (columns, _) = viuer::terminal_size();
    columns.into()
}
