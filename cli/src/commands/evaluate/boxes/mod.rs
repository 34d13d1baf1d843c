//! Bounding boxes of the objects in images, from annotation files.

mod object;
mod region;
mod table;
mod voc;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use attriburn_metrics::Region;

use object::{Annotation, Object};
pub use region::{CountedObjects, ModelView};
use table::Table;

/// The boxes of many images.
pub enum Boxes {
    /// A folder with one Pascal VOC file per image, named after the image.
    Folder(PathBuf),
    /// A CSV file.
    Table { path: PathBuf, table: Table },
}

impl Boxes {
    /// Opens a folder of XML files, or reads a CSV file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let error = |reason: String| format!("--boxes {}: {reason}", path.display());
        if path.is_dir() {
            let files = std::fs::read_dir(path).map_err(|problem| error(problem.to_string()))?;
            let is_xml = |path: &Path| path.extension().is_some_and(|extension| extension == "xml");
            return match files.flatten().any(|file| is_xml(&file.path())) {
                true => Ok(Self::Folder(path.to_owned())),
                false => Err(error("the folder contains no .xml file".into())),
            };
        }
        let table = table::read(path).map_err(error)?;
        Ok(Self::Table { path: path.to_owned(), table })
    }

    /// Checks that no two images would have the same boxes.
    ///
    /// # Errors
    ///
    /// When the names of two images match the same annotation.
    pub fn check_names(&self, images: impl Iterator<Item = String>) -> Result<(), String> {
        let mut image_by_key: HashMap<PathBuf, String> = HashMap::new();
        for image in images {
            let path = Path::new(&image);
            let keys = match self {
                Self::Folder(folder) => vec![voc::annotation_path(folder, path)],
                Self::Table { table, .. } => {
                    table::keys(table, path).into_iter().map(PathBuf::from).collect()
                }
            };
            for key in keys {
                if let Some(other) = image_by_key.insert(key, image.clone()) {
                    return Err(format!(
                        "{other} and {image} would have the same boxes; evaluate them in separate runs, or write their paths into a CSV file of boxes"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns bytes that change whenever the boxes of `image` change, for the comparison of runs.
    pub fn contents(&self, image: &Path) -> Vec<u8> {
        match self {
            Self::Folder(folder) => {
                std::fs::read(voc::annotation_path(folder, image)).unwrap_or_default()
            }
            Self::Table { .. } => format!("{:?}", self.annotation(image)).into_bytes(),
        }
    }

    /// Returns the annotation of an image.
    fn annotation(&self, image: &Path) -> Result<Annotation, String> {
        match self {
            Self::Folder(folder) => {
                let path = voc::annotation_path(folder, image);
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    format!("the boxes {} cannot be read: {error}", path.display())
                })?;
                voc::parse(&text)
                    .map_err(|reason| format!("the boxes {}: {reason}", path.display()))
            }
            Self::Table { path, table } => {
                let keys = table::keys(table, image);
                let boxes = keys.into_iter().filter_map(|key| table.get(&key));
                let objects: Vec<Object> = boxes.flatten().cloned().collect();
                match objects.is_empty() {
                    true => Err(format!("{} has no boxes for the image", path.display())),
                    false => Ok(Annotation { objects, size: None }),
                }
            }
        }
    }

    /// Returns the regions of the counted objects of an image, in pixels of the model's input.
    ///
    /// # Errors
    ///
    /// When there is no region, or the annotation does not fit the image.
    pub fn regions(
        &self,
        image: &Path,
        view: &ModelView,
        counted: CountedObjects,
    ) -> Result<Vec<Region>, String> {
        let Annotation { objects, size } = self.annotation(image)?;
        if let (Some(size), Some((_, image_size))) = (size, view.scaled)
            && size != image_size
        {
            return Err(format!(
                "the boxes are for an image of {} x {} pixels, but the image has {} x {}",
                size.1, size.0, image_size.1, image_size.0
            ));
        }
        let mut regions = Vec::new();
        for object in &objects {
            let region = view.region(object);
            if counted.includes(object)? && region.area() > 0 {
                regions.push(region);
            }
        }
        match regions.is_empty() {
            true => Err("no box of the class lies in the part that the model sees".into()),
            false => Ok(regions),
        }
    }
}

#[cfg(test)]
mod tests {
    use attriburn_picture::Preprocess;

    use super::*;
    use crate::setup::labels::Labels;

    const ANNOTATION: &str = "<annotation><filename>cat</filename><object><name>tabby</name>
        <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
        <object><name>dog</name><bndbox><ymin>1</ymin><xmin>1</xmin><xmax>100</xmax><ymax>50</ymax>
        </bndbox></object></annotation>";

    const WHOLE: ModelView = ModelView { shape: [50, 100], scaled: None };

    fn labels(names: &str) -> Labels {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("labels.txt");
        std::fs::write(&file, names).expect("labels");
        Labels::load(Some(&file), false).expect("labels")
    }

    fn regions(boxes: &Boxes, names: &str, class: usize) -> Result<Vec<Region>, String> {
        boxes.regions(
            Path::new("/x/my.cat.png"),
            &WHOLE,
            CountedObjects::OfClass(&labels(names), class),
        )
    }

    fn table(rows: &str) -> Boxes {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boxes.csv");
        let text = format!("picture,left,top,right,bottom,label\n{rows}");
        std::fs::write(&path, text).expect("a file");
        Boxes::read(&path).expect("boxes")
    }

    #[test]
    fn annotations_and_tables_give_the_same_regions() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("my.cat.xml"), ANNOTATION).expect("a file");
        let block = Region { left: 10, top: 20, right: 60, bottom: 40 };
        let whole = Region { left: 0, top: 0, right: 100, bottom: 50 };
        let boxes = Boxes::read(folder.path()).expect("boxes");
        // Without class names, every labelled box counts.
        assert_eq!(regions(&boxes, "", 0), Ok(vec![block, whole]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 0), Ok(vec![block]));
        assert_eq!(regions(&boxes, "Tabby\ndog\ntabby", 2), Ok(vec![block]));
        assert_eq!(regions(&boxes, "Tabby\ndog", 1), Ok(vec![whole]));
        let message = regions(&boxes, "a\ndog", 0).expect_err("no class is a tabby");
        assert!(message.contains("\"tabby\", which is not the name of a class"), "{message}");
        let all = boxes.regions(Path::new("my.cat.jpg"), &WHOLE, CountedObjects::All);
        assert_eq!(all, Ok(vec![block, whole]));
        let rows = "my.cat.png,10,20,60,40,tabby\nmy.cat,0,0,100,50,1\nmy,0,0,9,9,\n";
        assert_eq!(regions(&table(rows), "tabby\ndog", 0), Ok(vec![block]));
        assert_eq!(regions(&table(rows), "tabby\ndog", 1), Ok(vec![whole]));
        // A path takes precedence over a name.
        let rows = format!("{rows}/x/my.cat.png,0,0,100,50,\n");
        assert_eq!(regions(&table(&rows), "tabby\ndog", 0), Ok(vec![whole]));
        let rows = "my.cat.png,10,20,60,40,\n./x/my.cat.png,0,0,100,50,\n";
        assert_eq!(regions(&table(rows), "", 0), Ok(vec![whole]));
        let missing = boxes.regions(Path::new("dog.png"), &WHOLE, CountedObjects::All);
        assert!(missing.is_err_and(|message| message.contains("dog.xml cannot be read")));
    }

    #[test]
    fn boxes_follow_the_resize_and_crop_of_the_image() {
        let boxes = table("cat,0,0,310,480,\ncat,600,0,640,480,\n");
        let preprocess = Preprocess::imagenet(224, 224).expect("a preprocessing");
        let view = ModelView { shape: [224, 224], scaled: Some((&preprocess, (480, 640))) };
        let found = boxes.regions(Path::new("cat.png"), &view, CountedObjects::All);
        // 640 x 480 becomes 341 x 256; 58 columns and 16 rows are cut off at the left and the top.
        assert_eq!(found, Ok(vec![Region { left: 0, top: 0, right: 107, bottom: 224 }]));
        let folder = tempfile::tempdir().expect("a folder");
        let size = "<size><width>500</width><height>375</height><depth>3</depth></size><object>";
        let text = ANNOTATION.replacen("<object>", size, 1);
        std::fs::write(folder.path().join("cat.xml"), text).expect("a file");
        let boxes = Boxes::read(folder.path()).expect("boxes");
        let message =
            boxes.regions(Path::new("cat.png"), &view, CountedObjects::All).expect_err("a size");
        assert_eq!(
            message,
            "the boxes are for an image of 500 x 375 pixels, but the image has 640 x 480"
        );
    }

    #[test]
    fn check_names_rejects_images_with_the_same_boxes() {
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
    fn invalid_boxes_are_rejected() {
        let cases = [
            (ANNOTATION.replace("60", "6"), "is not a box"),
            (ANNOTATION.replace("60", "wide"), "xmax is \"wide\", not a number"),
            (ANNOTATION.replace("<xmin>11</xmin>", ""), "a bndbox has no xmin"),
            (ANNOTATION.replace("</annotation>", ""), "the root node was opened but never closed"),
        ];
        for (text, expected) in cases {
            let message = voc::parse(&text).map(drop).expect_err(expected);
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("boxes.csv");
        for (text, expected) in [
            (
                "picture,left,top,right,bottom\na,5,0,3,9\n",
                "row 2: [5.0, 0.0, 3.0, 9.0] is not a box",
            ),
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
