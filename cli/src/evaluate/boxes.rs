//! Where the objects of the pictures are, by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use attriburn::metrics::Region;
use attriburn::picture::Preprocess;
use roxmltree::{Document, Node};

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

/// What is said of a picture: its objects, and its height and width where that is known.
#[derive(Debug)]
struct Annotation {
    objects: Vec<Object>,
    size: Option<(usize, usize)>,
}

/// What a CSV file must have.
const COLUMNS: [&str; 5] = ["picture", "left", "top", "right", "bottom"];

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
        let wrong = |reason: String| format!("--boxes {}: {reason}", path.display());
        if path.is_dir() {
            let files = std::fs::read_dir(path).map_err(|error| wrong(error.to_string()))?;
            let is_xml = |path: &Path| path.extension().is_some_and(|ending| ending == "xml");
            return match files.flatten().any(|file| is_xml(&file.path())) {
                true => Ok(Self::Folder(path.to_owned())),
                false => Err(wrong("there is no .xml file in it".into())),
            };
        }
        let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(error.to_string()))?;
        let head = reader.headers().map_err(|error| wrong(error.to_string()))?;
        if let Some(missing) = COLUMNS.iter().find(|name| !head.iter().any(|found| found == **name))
        {
            return Err(wrong(format!(
                "it has no column {missing}; a CSV file of boxes begins with a line {}",
                COLUMNS.join(",")
            )));
        }
        let mut of: HashMap<String, Vec<Object>> = HashMap::new();
        for (row, line) in reader.deserialize::<Line>().enumerate() {
            let line = line.map_err(|error| wrong(error.to_string()))?;
            let Line { picture, left, top, right, bottom, label } = line;
            let object =
                Object { label: label.filter(|l| !l.is_empty()), left, top, right, bottom };
            object.check().map_err(|reason| wrong(format!("row {}: {reason}", row + 2)))?;
            let plain = Path::new(&picture).strip_prefix(".").map(Path::to_owned);
            let picture = plain.map_or(picture, |path| path.to_string_lossy().into_owned());
            of.entry(picture).or_default().push(object);
        }
        Ok(Self::Table { path: path.to_owned(), of })
    }

    /// Refuses pictures that would have the same boxes.
    pub fn check_names(&self, pictures: impl Iterator<Item = String>) -> Result<(), String> {
        let mut known: HashMap<PathBuf, String> = HashMap::new();
        for picture in pictures {
            let path = Path::new(&picture);
            let keys = match self {
                Self::Folder(folder) => vec![annotation(folder, path)],
                Self::Table { of, .. } => keys(of, path).into_iter().map(PathBuf::from).collect(),
            };
            for key in keys {
                if let Some(other) = known.insert(key, picture.clone()) {
                    return Err(format!(
                        "{other} and {picture} would have the same boxes; evaluate them apart, or write their paths into a CSV file of boxes"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The bytes behind the boxes of one picture, for telling runs apart.
    pub fn contents(&self, picture: &Path) -> Vec<u8> {
        match self {
            Self::Folder(folder) => std::fs::read(annotation(folder, picture)).unwrap_or_default(),
            Self::Table { .. } => format!("{:?}", self.of(picture)).into_bytes(),
        }
    }

    /// What is said of a picture.
    fn of(&self, picture: &Path) -> Result<Annotation, String> {
        match self {
            Self::Folder(folder) => {
                let path = annotation(folder, picture);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    format!("its boxes {} cannot be read: {error}", path.display())
                })?;
                voc(&text).map_err(|reason| format!("its boxes {}: {reason}", path.display()))
            }
            Self::Table { path, of } => {
                let found = keys(of, picture).into_iter().filter_map(|key| of.get(&key));
                let objects: Vec<Object> = found.flatten().cloned().collect();
                match objects.is_empty() {
                    true => Err(format!("{} has no boxes of it", path.display())),
                    false => Ok(Annotation { objects, size: None }),
                }
            }
        }
    }

    /// The regions of the wanted objects of a picture, in pixels of what the model sees.
    ///
    /// # Errors
    ///
    /// When there are none, or what is said of the picture does not fit it.
    pub fn regions(
        &self,
        picture: &Path,
        seen: &Seen,
        wanted: Wanted,
    ) -> Result<Vec<Region>, String> {
        let Annotation { objects, size } = self.of(picture)?;
        if let (Some(size), Some((_, own))) = (size, seen.scaled)
            && size != own
        {
            return Err(format!(
                "its boxes are of a picture of {} x {} pixels, and it has {} x {}",
                size.1, size.0, own.1, own.0
            ));
        }
        let mut regions = Vec::new();
        for object in &objects {
            let region = seen.region(object);
            if wanted.includes(object)? && region.area() > 0 {
                regions.push(region);
            }
        }
        match regions.is_empty() {
            true => {
                Err("none of its boxes is of the class and in the part that the model sees".into())
            }
            false => Ok(regions),
        }
    }
}

/// What the model sees of a picture.
pub struct Seen<'a> {
    /// Its height and width there.
    pub shape: [usize; 2],
    /// The preprocessing and the height and width of the picture's file, where it went through one.
    pub scaled: Option<(&'a Preprocess, (usize, usize))>,
}

impl Seen<'_> {
    fn region(&self, object: &Object) -> Region {
        let place = |row: f64, column: f64| match self.scaled {
            Some((preprocess, size)) => preprocess.place(size, (row, column)),
            None => (row, column),
        };
        let pixel = |at: f64, length: usize| at.round().clamp(0.0, length as f64) as usize;
        let [height, width] = self.shape;
        let (top, left) = place(object.top, object.left);
        let (bottom, right) = place(object.bottom, object.right);
        Region {
            left: pixel(left, width),
            top: pixel(top, height),
            right: pixel(right, width),
            bottom: pixel(bottom, height),
        }
    }
}

/// The objects that count.
pub enum Wanted<'a> {
    All,
    /// Those of a class, and those of which it is not known: without a label, or with a name where
    /// the classes have none.
    Class(&'a Labels, usize),
}

impl Wanted<'_> {
    fn includes(&self, object: &Object) -> Result<bool, String> {
        let (Self::Class(labels, class), Some(label)) = (self, &object.label) else {
            return Ok(true);
        };
        let named = labels.classes(label);
        match label.parse::<usize>() {
            _ if !named.is_empty() => Ok(named.contains(class)),
            Ok(index) => Ok(index == *class),
            Err(_) if labels.is_empty() => Ok(true),
            Err(_) => Err(format!(
                "its box is of {label:?}, which no class is called; give --labels with such names, or count all boxes with --all-boxes"
            )),
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

/// What a table calls a picture: the longest end of its path that the table has, folders included,
/// else the names of its file that the table has, with and without the ending.
fn keys(of: &HashMap<String, Vec<Object>>, picture: &Path) -> Vec<String> {
    let length = |key: &String| Path::new(key).components().count();
    let paths = of.keys().filter(|key| length(key) > 1 && picture.ends_with(key));
    if let Some(path) = paths.max_by_key(|key| length(key)) {
        return vec![path.clone()];
    }
    let names = [picture.file_name(), picture.file_stem()].into_iter().flatten();
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.dedup();
    names.into_iter().filter(|name| of.contains_key(name)).collect()
}

fn annotation(folder: &Path, picture: &Path) -> PathBuf {
    let mut name = picture.file_stem().unwrap_or_default().to_owned();
    name.push(".xml");
    folder.join(name)
}

/// A Pascal VOC annotation, whose pixels count from 1 and include the last.
fn voc(text: &str) -> Result<Annotation, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let objects = document.descendants().filter(|node| node.has_tag_name("object"));
    let size = child(document.root_element(), "size").and_then(|size| {
        Some((number(size, "height").ok()? as usize, number(size, "width").ok()? as usize))
    });
    Ok(Annotation {
        objects: objects.map(object).collect::<Result<_, _>>()?,
        // Annotations that do not say it have zeros.
        size: size.filter(|size| *size != (0, 0)),
    })
}

fn object(node: Node) -> Result<Object, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATION: &str = "<annotation><filename>cat</filename><object><name>tabby</name>
        <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
        <object><name>dog</name><bndbox><ymin>1</ymin><xmin>1</xmin><xmax>100</xmax><ymax>50</ymax>
        </bndbox></object></annotation>";

    const WHOLE: Seen = Seen { shape: [50, 100], scaled: None };

    fn labels(names: &str) -> Labels {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("labels.txt");
        std::fs::write(&file, names).expect("labels");
        Labels::load(Some(&file), false).expect("labels")
    }

    fn regions(boxes: &Boxes, names: &str, class: usize) -> Result<Vec<Region>, String> {
        boxes.regions(Path::new("/x/my.cat.png"), &WHOLE, Wanted::Class(&labels(names), class))
    }

    fn table(rows: &str) -> Boxes {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boxes.csv");
        let text = format!("picture,left,top,right,bottom,label\n{rows}");
        std::fs::write(&path, text).expect("a file");
        Boxes::read(&path).expect("boxes")
    }

    #[test]
    fn annotations_and_tables_say_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("my.cat.xml"), ANNOTATION).expect("a file");
        let block = Region { left: 10, top: 20, right: 60, bottom: 40 };
        let whole = Region { left: 0, top: 0, right: 100, bottom: 50 };
        let boxes = Boxes::read(folder.path()).expect("boxes");
        // Without names none can be told from the class.
        assert_eq!(regions(&boxes, "", 0), Ok(vec![block, whole]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 0), Ok(vec![block]));
        assert_eq!(regions(&boxes, "Tabby\ndog\ntabby", 2), Ok(vec![block]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 1), Ok(vec![whole]));
        let message = regions(&boxes, "a\ndog", 0).expect_err("no class is a tabby");
        assert!(message.contains("\"tabby\", which no class is called"), "{message}");
        let all = boxes.regions(Path::new("my.cat.jpg"), &WHOLE, Wanted::All);
        assert_eq!(all, Ok(vec![block, whole]));
        let rows = "my.cat.png,10,20,60,40,tabby\nmy.cat,0,0,100,50,1\nmy,0,0,9,9,\n";
        assert_eq!(regions(&table(rows), "tabby\ndog", 0), Ok(vec![block]));
        assert_eq!(regions(&table(rows), "tabby\ndog", 1), Ok(vec![whole]));
        // A path says more than a name.
        let rows = format!("{rows}/x/my.cat.png,0,0,100,50,\n");
        assert_eq!(regions(&table(&rows), "tabby\ndog", 0), Ok(vec![whole]));
        let rows = "my.cat.png,10,20,60,40,\n./x/my.cat.png,0,0,100,50,\n";
        assert_eq!(regions(&table(rows), "", 0), Ok(vec![whole]));
        let missing = boxes.regions(Path::new("dog.png"), &WHOLE, Wanted::All);
        assert!(missing.is_err_and(|message| message.contains("dog.xml cannot be read")));
    }

    #[test]
    fn boxes_move_with_the_picture() {
        let boxes = table("cat,0,0,310,480,\ncat,600,0,640,480,\n");
        let preprocess = Preprocess::imagenet(224, 224).expect("a preprocessing");
        let seen = Seen { shape: [224, 224], scaled: Some((&preprocess, (480, 640))) };
        let found = boxes.regions(Path::new("cat.png"), &seen, Wanted::All);
        // 640 x 480 becomes 341 x 256; 58 columns and 16 rows are cut off at the left and the top.
        assert_eq!(found, Ok(vec![Region { left: 0, top: 0, right: 107, bottom: 224 }]));
        let folder = tempfile::tempdir().expect("a folder");
        let size = "<size><width>500</width><height>375</height><depth>3</depth></size><object>";
        let text = ANNOTATION.replacen("<object>", size, 1);
        std::fs::write(folder.path().join("cat.xml"), text).expect("a file");
        let boxes = Boxes::read(folder.path()).expect("boxes");
        let message = boxes.regions(Path::new("cat.png"), &seen, Wanted::All).expect_err("a size");
        assert_eq!(message, "its boxes are of a picture of 500 x 375 pixels, and it has 640 x 480");
    }

    #[test]
    fn pictures_with_the_same_boxes_are_refused() {
        let check = |boxes: &Boxes, names: [&str; 2]| {
            boxes.check_names(names.into_iter().map(str::to_owned))
        };
        let named = table("a/cat.png,0,0,9,9,\nb/cat.png,0,0,9,9,\n");
        assert_eq!(check(&named, ["a/cat.png", "b/cat.png"]), Ok(()));
        assert_eq!(check(&named, ["a/cat.png", "b/dog.png"]), Ok(()));
        let named = table("cat.png,0,0,9,9,\ndog,0,0,9,9,\n");
        assert!(check(&named, ["cat.png", "sub/cat.png"]).is_err());
        assert!(check(&named, ["a/dog.png", "b/dog.jpg"]).is_err());
        assert_eq!(check(&named, ["cat.png", "cat.jpg"]), Ok(()));
        let named = table("c/cat.jpg,0,0,9,9,\ncat,0,0,9,9,\n");
        assert_eq!(check(&named, ["c/cat.jpg", "cat.png"]), Ok(()));
        let message = check(&named, ["c/cat.png", "cat.jpg"]).expect_err("one name");
        assert!(
            message.starts_with("c/cat.png and cat.jpg would have the same boxes"),
            "{message}"
        );
        assert!(check(&Boxes::Folder("x".into()), ["a/cat.png", "b/cat.png"]).is_err());
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
            let message = voc(&text).map(drop).expect_err(expected);
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("boxes.csv");
        for (text, expected) in [
            ("picture,left,top,right,bottom\na,5,0,3,9\n", "row 2: [5.0, 0.0, 3.0, 9.0] is no box"),
            ("picture,left,top,right\na,5,0,3\n", "it has no column bottom; a CSV file of boxes"),
            ("picture,left,top,right,bottom\na,5,0,3\n", "found record with 4 fields"),
            ("", "it has no column picture"),
        ] {
            std::fs::write(&table, text).expect("a file");
            let message = Boxes::read(&table).map(drop).expect_err(expected);
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
