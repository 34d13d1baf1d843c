//! Which classes are explained.

use attriburn::{Error, Prediction, Target};

use crate::labels::Labels;

/// The classes of one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Wanted>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    One(Target),
    Top(usize),
}

impl Targets {
    /// Reads each of `texts`: `predicted`, `top:K`, an index or a label, or several of the first
    /// three with commas between them, which labels may have.
    pub fn parse(texts: &[String], labels: &Labels) -> Result<Self, String> {
        let mut wanted = Vec::new();
        for text in texts {
            let parts: Vec<_> = text.split(',').map(|part| plain(part.trim())).collect();
            if parts.iter().all(Option::is_some) {
                wanted.extend(parts.into_iter().flatten().collect::<Result<Vec<_>, _>>()?);
            } else {
                wanted.push(Wanted::One(Target::Index(labels.class(text)?)));
            }
        }
        Ok(Self(wanted))
    }

    /// Refuses what a model of `classes` classes does not have.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        let problem = |wanted: &Wanted| match *wanted {
            Wanted::Top(count) if count > classes => {
                Some(format!("--target top:{count}: the model has {classes} classes"))
            }
            Wanted::One(Target::Index(index)) if index >= classes => {
                Some(Error::Target { index, classes }.to_string())
            }
            _ => None,
        };
        self.0.iter().find_map(problem).map_or(Ok(()), Err)
    }

    /// Whether a picture may have several maps of a method, each in a folder of its class.
    pub fn are_several(&self) -> bool {
        !matches!(self.0[..], [Wanted::One(_)])
    }

    /// The most classes of one picture.
    pub fn most(&self) -> usize {
        let most = |wanted: &Wanted| match *wanted {
            Wanted::One(_) => 1,
            Wanted::Top(count) => count,
        };
        self.0.iter().map(most).sum()
    }

    /// The classes' indices for one prediction, each once.
    pub fn classes(&self, prediction: &Prediction) -> Result<Vec<usize>, Error> {
        let mut classes = Vec::new();
        for wanted in &self.0 {
            let meant = match *wanted {
                Wanted::One(target) => vec![prediction.class(target)?],
                Wanted::Top(count) => prediction.ranking().into_iter().take(count).collect(),
            };
            for class in meant {
                if !classes.contains(&class) {
                    classes.push(class);
                }
            }
        }
        Ok(classes)
    }
}

/// A target that is no label.
fn plain(text: &str) -> Option<Result<Wanted, String>> {
    if text == "predicted" {
        return Some(Ok(Wanted::One(Target::Predicted)));
    }
    if let Some(count) = text.strip_prefix("top:") {
        return Some(match count.parse() {
            Ok(count) if count > 0 => Ok(Wanted::Top(count)),
            _ => Err(format!("--target {text:?}: write top:K with K at least 1")),
        });
    }
    text.parse().ok().map(|index| Ok(Wanted::One(Target::Index(index))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let labels = Labels::load(None, true).unwrap();
        let one = |index| Wanted::One(Target::Index(index));
        let cases: [(&[&str], Vec<Wanted>); 6] = [
            (&["predicted"], vec![Wanted::One(Target::Predicted)]),
            (&["top:3"], vec![Wanted::Top(3)]),
            (&["285"], vec![one(285)]),
            (&["goldfish"], vec![one(1)]),
            (&["285, 281", "goldfish"], vec![one(285), one(281), one(1)]),
            (&["top:2,7"], vec![Wanted::Top(2), one(7)]),
        ];
        for (texts, expected) in cases {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            assert_eq!(Targets::parse(&texts, &labels), Ok(Targets(expected)));
        }
        assert!(Targets::parse(&["top:0".into()], &labels).is_err());
    }

    #[test]
    fn a_class_is_explained_once() {
        let prediction = Prediction { logits: vec![0.5, 3.0, 1.0], link: None };
        let labels = Labels::load(None, true).unwrap();
        let classes = |text: &str| {
            Targets::parse(&[text.into()], &labels).unwrap().classes(&prediction).unwrap()
        };
        assert_eq!(classes("top:2,1,0,predicted"), [1, 2, 0]);
        assert_eq!(classes("predicted"), [1]);
    }
}
