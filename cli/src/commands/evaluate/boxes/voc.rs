//! Pascal VOC annotations.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::object::{Annotation, Object};

/// Returns the path of the annotation of an image: a file with the stem of the image in `folder`.
pub fn annotation_path(folder: &Path, image: &Path) -> PathBuf {
    let mut name = image.file_stem().unwrap_or_default().to_owned();
    name.push(".xml");
    folder.join(name)
}

/// Parses an annotation. Its pixel coordinates start at 1, and the maxima are inclusive.
pub fn parse(text: &str) -> Result<Annotation, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let objects = document.descendants().filter(|node| node.has_tag_name("object"));
    let size = child(document.root_element(), "size").and_then(|size| {
        Some((number(size, "height").ok()? as usize, number(size, "width").ok()? as usize))
    });
    Ok(Annotation {
        objects: objects.map(parse_object).collect::<Result<_, _>>()?,
        // Zeros stand for an unknown size.
        size: size.filter(|size| *size != (0, 0)),
    })
}

fn parse_object(node: Node) -> Result<Object, String> {
    let bounds = child(node, "bndbox").ok_or("an object has no bndbox")?;
    let label = child(node, "name").and_then(|name| name.text()).map(str::trim);
    let object = Object {
        label: label.filter(|label| !label.is_empty()).map(str::to_owned),
        left: number(bounds, "xmin")? - 1.0,
        top: number(bounds, "ymin")? - 1.0,
        right: number(bounds, "xmax")?,
        bottom: number(bounds, "ymax")?,
    };
    object.check().map(|()| object)
}

fn child<'a, 'text>(node: Node<'a, 'text>, name: &str) -> Option<Node<'a, 'text>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn number(node: Node, name: &str) -> Result<f64, String> {
    let text = child(node, name).and_then(|child| child.text()).map(str::trim);
    let text = text.ok_or_else(|| format!("a {} has no {name}", node.tag_name().name()))?;
    text.parse().map_err(|_| format!("{name} is {text:?}, not a number"))
}
