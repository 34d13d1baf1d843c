//! Writes both pages with made-up data: `cargo run -p attriburn-report --example sample -- FOLDER`.

mod evaluation;
mod maps;
mod random;

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give the folder to write to")?;
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("maps.html"), maps::page().html()?)?;
    std::fs::write(folder.join("many.html"), maps::many(10, 10).html()?)?;
    std::fs::write(folder.join("evaluation.html"), evaluation::page().html())?;
    Ok(())
}
