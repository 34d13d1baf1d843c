//! The images with the best and worst values of a metric.

use maud::{Markup, PreEscaped, html};

use super::data::{EvaluationPage, Extreme, MetricSection, Rank, Thumbnail};
use crate::number::significant;

fn classes(index: usize) -> [String; 2] {
    [format!("thumbnail-{index}-picture"), format!("thumbnail-{index}-overlay")]
}

/// Returns the styles that hold the thumbnails, each once.
pub(super) fn thumbnail_styles(page: &EvaluationPage) -> Markup {
    let rules = |(index, thumbnail): (usize, &Thumbnail)| {
        let [picture, overlay] = classes(index);
        thumbnail.picture.css_rule(&picture) + &thumbnail.overlay.css_rule(&overlay)
    };
    let rules: String = page.thumbnails.iter().enumerate().map(rules).collect();
    html! { @if !rules.is_empty() { style { (PreEscaped(rules)) } } }
}

/// Returns the gallery of a metric; nothing if it has no images.
pub(super) fn gallery_html(metric: &MetricSection, thumbnails: &[Thumbnail]) -> Markup {
    let mut methods: Vec<&str> = Vec::new();
    for extreme in &metric.extremes {
        if !methods.contains(&extreme.method.as_str()) {
            methods.push(&extreme.method);
        }
    }
    html! {
        @if !methods.is_empty() {
            h3 { "Images with the best and worst values" }
            @for (number, method) in methods.iter().enumerate() {
                details.gallery open[number == 0] {
                    summary { (method) }
                    @for (rank, title) in [(Rank::Best, "Best"), (Rank::Worst, "Worst")] {
                        @let extremes: Vec<&Extreme> = metric.extremes.iter()
                            .filter(|extreme| extreme.method == *method && extreme.rank == rank).collect();
                        @if !extremes.is_empty() {
                            h4 { (title) }
                            ul.extremes { @for extreme in extremes { (item(extreme, thumbnails)) } }
                        }
                    }
                }
            }
        }
    }
}

fn item(extreme: &Extreme, thumbnails: &[Thumbnail]) -> Markup {
    let thumbnail = extreme.thumbnail.and_then(|index| Some((index, thumbnails.get(index)?)));
    html! {
        li {
            @if let Some((index, thumbnail)) = thumbnail {
                @let [picture, overlay] = classes(index);
                div.pair {
                    div.(picture) role="img" aria-label=(extreme.image) style=(aspect(&thumbnail.picture)) {}
                    div.(overlay) role="img" aria-label=(format!("Map of {}", extreme.image)) style=(aspect(&thumbnail.overlay)) {}
                }
            }
            p { strong { (significant(extreme.value, 3)) } " " span.image { (extreme.image) } }
        }
    }
}

fn aspect(picture: &crate::picture::EncodedPicture) -> String {
    format!("aspect-ratio:{}/{}", picture.width, picture.height)
}
