//! Where the objects of the pictures are, by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mollify::metrics::Region;
use mollify::picture::Preprocess;

use crate::labels::Labels;

/// The boxes of many pictures.
pub enum Boxes {
    /// A Pascal VOC file for each picture, called as the picture is.
    Folder(PathBuf),
    /// Those of a CSV file, by the picture's name.
    Table { path: PathBuf, of: HashMap<String, Vec<Object>> },
}

/// An object in pixels of the picture's file: columns from `left` to before `right`, rows from `top`
/// to before `bottom`.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    label: Option<String>,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// A line of a CSV file.
#[derive(serde::Deserialize)]
struct Line {
    picture: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    #[serde(default)]
    label: Option<String>,
}

impl Boxes {
    /// Those in a folder of XML files, or in a CSV file.
    pub fn read(path: &Path) -> Result<Self, String> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let wrong = |reason: String| format!("--boxes {}: {reason}", path.display());
        let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(error.to_string()))?;
        let mut of: HashMap<String, Vec<Object>> = HashMap::new();
        for (row, line) in reader.deserialize::<Line>().enumerate() {
            let line = line.map_err(|error| wrong(error.to_string()))?;
            let Line { picture, left, top, right, bottom, label } = line;
            let object =
                Object { label: label.filter(|l| !l.is_empty()), left, top, right, bottom };
            object.check().map_err(|reason| wrong(format!("row {}: {reason}", row + 2)))?;
            of.entry(picture).or_default().push(object);
        }
        Ok(Self::Table { path: path.to_owned(), of })
    }

    /// The bytes behind the boxes of one picture, for telling runs apart.
    pub fn contents(&self, picture: &Path) -> Vec<u8> {
        match self {
            Self::Folder(folder) => std::fs::read(annotation(folder, picture)).unwrap_or_default(),
            Self::Table { .. } => format!("{:?}", self.of(picture)).into_bytes(),
        }
    }

    /// The objects of a picture, by its file's name with or without the ending.
    fn of(&self, picture: &Path) -> Result<Vec<Object>, String> {
        match self {
            Self::Folder(folder) => {
                let path = annotation(folder, picture);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    format!("its boxes {} cannot be read: {error}", path.display())
                })?;
                voc(&text).map_err(|reason| format!("its boxes {}: {reason}", path.display()))
            }
            Self::Table { path, of } => {
                let names = [picture.file_name(), picture.file_stem()];
                let names = names.into_iter().flatten().map(|name| name.to_string_lossy());
                let found = names.filter_map(|name| of.get(name.as_ref())).next().cloned();
                found.ok_or_else(|| format!("{} has no boxes of it", path.display()))
            }
        }
    }

    /// The regions of a class in a picture as the model sees it, `[height, width]`: all objects but
    /// those that have the label of another class. `size` is that of the picture's file, where it
    /// went through `preprocess`.
    pub fn regions(
        &self,
        picture: &Path,
        seen: [usize; 2],
        scaled: Option<(&Preprocess, (usize, usize))>,
        (labels, class): (&Labels, usize),
    ) -> Result<Vec<Region>, String> {
        let objects = self.of(picture)?;
        let is_of_class = |object: &&Object| {
            let label = object.label.as_ref().and_then(|label| labels.class(label).ok());
            label.is_none_or(|label| label == class)
        };
        let place = |row: f64, column: f64| match scaled {
            Some((preprocess, size)) => preprocess.place(size, (row, column)),
            None => (row, column),
        };
        let pixel = |at: f64, length: usize| at.round().clamp(0.0, length as f64) as usize;
        let region = |object: &Object| {
            let (first, last) =
                (place(object.top, object.left), place(object.bottom, object.right));
            Region {
                left: pixel(first.1, seen[1]),
                top: pixel(first.0, seen[0]),
                right: pixel(last.1, seen[1]),
                bottom: pixel(last.0, seen[0]),
            }
        };
        let regions: Vec<Region> = objects
            .iter()
            .filter(is_of_class)
            .map(region)
            .filter(|region| region.area() > 0)
            .collect();
        match regions.is_empty() {
            true => {
                Err("none of its boxes is of the class and in the part that the model sees".into())
            }
            false => Ok(regions),
        }
    }
}

impl Object {
    fn check(&self) -> Result<(), String> {
        let sides = [self.left, self.top, self.right, self.bottom];
        if sides.iter().all(|side| side.is_finite())
            && self.left < self.right
            && self.top < self.bottom
        {
            return Ok(());
        }
        Err(format!("{sides:?} is no box; its left, top, right and bottom must be in order"))
    }
}

fn annotation(folder: &Path, picture: &Path) -> PathBuf {
    folder.join(picture.file_stem().unwrap_or_default()).with_extension("xml")
}

/// The objects of a Pascal VOC annotation, whose pixels count from 1 and include the last.
fn voc(text: &str) -> Result<Vec<Object>, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let objects = document.descendants().filter(|node| node.has_tag_name("object"));
    let object = |node: roxmltree::Node| {
        let child = |node: &roxmltree::Node, name: &str| {
            node.children().find(|child| child.has_tag_name(name)).map(|c| c.id())
        };
        let bounds = child(&node, "bndbox").and_then(|id| document.get_node(id));
        let bounds = bounds.ok_or("an object has no bndbox")?;
        let side = |name: &str| -> Result<f64, String> {
            let found = child(&bounds, name).and_then(|id| document.get_node(id)?.text());
            let found = found.ok_or_else(|| format!("a bndbox has no {name}"))?;
            found.trim().parse().map_err(|_| format!("{name} is {found:?}, not a number"))
        };
        let label = child(&node, "name").and_then(|id| document.get_node(id)?.text());
        let object = Object {
            label: label.map(|label| label.trim().to_owned()),
            left: side("xmin")? - 1.0,
            top: side("ymin")? - 1.0,
            right: side("xmax")?,
            bottom: side("ymax")?,
        };
        object.check().map(|()| object)
    };
    objects.map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATION: &str = "<annotation><filename>cat</filename><object><name>tabby</name>
        <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
        <object><name>dog</name><bndbox><ymin>1</ymin><xmin>1</xmin><xmax>100</xmax><ymax>50</ymax>
        </bndbox></object></annotation>";

    fn regions(boxes: &Boxes, labels: &str, class: usize) -> Result<Vec<Region>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("labels.txt");
        std::fs::write(&file, labels).expect("labels");
        let labels = Labels::load(Some(&file), false).expect("labels");
        boxes.regions(Path::new("/x/cat.png"), [50, 100], None, (&labels, class))
    }

    #[test]
    fn annotations_and_tables_say_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("cat.xml"), ANNOTATION).expect("a file");
        let table = folder.path().join("boxes.csv");
        let text = "picture,left,top,right,bottom,label\ncat.png,10,20,60,40,tabby\ncat,0,0,9,9,\n";
        std::fs::write(&table, text).expect("a file");
        let block = Region { left: 10, top: 20, right: 60, bottom: 40 };
        let whole = Region { left: 0, top: 0, right: 100, bottom: 50 };
        let boxes = Boxes::read(folder.path()).expect("boxes");
        // Labels that are no class count for all.
        assert_eq!(regions(&boxes, "a\nb", 0), Ok(vec![block, whole]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 0), Ok(vec![block]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 1), Ok(vec![whole]));
        assert_eq!(regions(&Boxes::read(&table).expect("boxes"), "a\nb", 0), Ok(vec![block]));
        let missing = boxes.regions(
            Path::new("dog.png"),
            [50, 100],
            None,
            (&Labels::load(None, false).expect("no labels"), 0),
        );
        assert!(missing.is_err_and(|message| message.contains("dog.xml cannot be read")));
    }

    #[test]
    fn boxes_move_with_the_picture() {
        let object = |left, right| Object { label: None, left, top: 0.0, right, bottom: 480.0 };
        let of =
            HashMap::from([("cat".to_owned(), vec![object(0.0, 310.0), object(600.0, 640.0)])]);
        let boxes = Boxes::Table { path: "boxes.csv".into(), of };
        let preprocess = Preprocess::imagenet(224, 224).expect("a preprocessing");
        let labels = Labels::load(None, false).expect("no labels");
        let scaled = Some((&preprocess, (480, 640)));
        let found = boxes.regions(Path::new("cat.png"), [224, 224], scaled, (&labels, 0));
        // 640 x 480 becomes 341 x 256; 58 columns and 16 rows are cut off at the left and the top.
        assert_eq!(found, Ok(vec![Region { left: 0, top: 0, right: 107, bottom: 224 }]));
    }

    #[test]
    fn what_is_no_box_is_refused() {
        let cases = [
            (ANNOTATION.replace("60", "6"), "is no box"),
            (ANNOTATION.replace("60", "wide"), "xmax is \"wide\", not a number"),
            (ANNOTATION.replace("<xmin>11</xmin>", ""), "a bndbox has no xmin"),
            (ANNOTATION.replace("</annotation>", ""), "the root node was opened but never closed"),
        ];
        for (text, expected) in cases {
            let message = voc(&text).expect_err(expected);
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("boxes.csv");
        for (text, expected) in [
            ("picture,left,top,right,bottom\na,5,0,3,9\n", "row 2: [5.0, 0.0, 3.0, 9.0] is no box"),
            ("picture,left,top,right\na,5,0,3\n", "missing field"),
        ] {
            std::fs::write(&table, text).expect("a file");
            let message = Boxes::read(&table).map(drop).expect_err(expected);
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
