//! What is explained of each picture.

use attriburn::{Prediction, Score, Target};

use crate::labels::Labels;

/// What is explained of one picture: one score or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// As they were asked for.
    pub texts: Vec<String>,
    wanted: Vec<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    One(Asked),
    Top(usize),
}

/// What one map is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Class(Class),
    Against(Class),
    Difference(Class, Class),
    Contrast(Class, usize),
}

/// A class, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Predicted,
    /// The one that the picture's folder is called after.
    Expected,
    Index(usize),
}

impl Targets {
    /// Reads each of `texts`, or several with commas between them, which labels may have; none means the
    /// predicted class.
    ///
    /// | text | what it means |
    /// |---|---|
    /// | `predicted`, `expected`, an index, a label, `expected:LABEL` | a class |
    /// | `-A` | what speaks against `A` |
    /// | `A-B` | the difference of two classes |
    /// | `A-top:K`, `contrast:K` | the log-odds of `A`, or of the predicted class, among the `K` most likely |
    /// | `top:K` | the `K` most likely classes, each by itself |
    ///
    /// # Errors
    ///
    /// When one means nothing.
    pub fn parse(texts: &[String], labels: &Labels) -> Result<Self, String> {
        let mut wanted = Vec::new();
        for text in texts {
            let whole = one(text.trim(), labels);
            let parts = || text.split(',').map(|part| one(part.trim(), labels));
            match whole {
                Ok(own) => wanted.push(own),
                Err(_) if text.contains(',') && parts().all(|part| part.is_ok()) => {
                    wanted.extend(parts().flatten());
                }
                Err(message) => return Err(message),
            }
        }
        if wanted.is_empty() {
            wanted.push(Wanted::One(Asked::Class(Class::Predicted)));
        }
        let texts = match texts {
            [] => vec!["predicted".to_owned()],
            texts => texts.to_vec(),
        };
        Ok(Self { texts, wanted })
    }

    /// Refuses what a model of `classes` classes does not have.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        let known = |class: &Class| match *class {
            Class::Index(index) if index >= classes => {
                Some(attriburn::Error::Target { index, classes }.to_string())
            }
            _ => None,
        };
        let too_many = |count: usize| {
            (count > classes).then(|| {
                format!("--target {}: the model has {classes} classes", self.texts.join(", "))
            })
        };
        let nothing = |what: &str| Some(format!("--target {}: {what}", self.texts.join(", ")));
        let problem = |wanted: &Wanted| match wanted {
            Wanted::Top(count) => too_many(*count),
            Wanted::One(Asked::Class(class) | Asked::Against(class)) => known(class),
            Wanted::One(Asked::Difference(class, other)) if class == other => {
                nothing("a class is compared with itself")
            }
            Wanted::One(Asked::Difference(class, other)) => known(class).or_else(|| known(other)),
            Wanted::One(Asked::Contrast(_, 0 | 1)) => nothing("a contrast is one of at least 2"),
            Wanted::One(Asked::Contrast(class, top)) => known(class).or_else(|| too_many(*top)),
        };
        self.wanted.iter().find_map(problem).map_or(Ok(()), Err)
    }

    /// Whether a picture may have several maps of a method, each in a folder of its own.
    pub fn are_several(&self) -> bool {
        !matches!(self.wanted[..], [Wanted::One(_)])
    }

    /// Whether all of them are classes.
    pub fn are_classes(&self) -> bool {
        let is_class =
            |wanted: &Wanted| matches!(wanted, Wanted::One(Asked::Class(_)) | Wanted::Top(_));
        self.wanted.iter().all(is_class)
    }

    /// Whether one of them compares several classes, which takes logits.
    pub fn are_contrasts(&self) -> bool {
        self.wanted.iter().any(|wanted| matches!(wanted, Wanted::One(Asked::Contrast(_, 3..))))
    }

    /// The most scores of one picture.
    pub fn most(&self) -> usize {
        let most = |wanted: &Wanted| match *wanted {
            Wanted::One(_) => 1,
            Wanted::Top(count) => count,
        };
        self.wanted.iter().map(most).sum()
    }

    /// The scores for one prediction, each once; `expected` is the class that the picture's folder is called
    /// after.
    ///
    /// # Errors
    ///
    /// When the expected class is asked for and not known, or a class is compared with itself.
    pub fn scores(
        &self,
        prediction: &Prediction,
        expected: Result<usize, String>,
    ) -> Result<Vec<Score>, String> {
        let index = |class: Class| match class {
            Class::Predicted => Ok(prediction.ranking()[0]),
            Class::Expected => expected.clone(),
            Class::Index(index) => Ok(index),
        };
        let mut scores = Vec::new();
        for wanted in &self.wanted {
            let targets = match *wanted {
                Wanted::Top(count) => {
                    prediction.ranking().into_iter().take(count).map(Target::Index).collect()
                }
                Wanted::One(asked) => vec![match asked {
                    Asked::Class(class) => Target::Index(index(class)?),
                    Asked::Against(class) => Target::Against(index(class)?),
                    Asked::Difference(class, other) => {
                        Target::Difference { class: index(class)?, other: index(other)? }
                    }
                    Asked::Contrast(class, top) => {
                        Target::Contrast { class: Some(index(class)?), top }
                    }
                }],
            };
            for target in targets {
                let score = prediction.score(&target).map_err(|error| error.to_string())?;
                if !scores.contains(&score) {
                    scores.push(score);
                }
            }
        }
        Ok(scores)
    }
}

/// Reads one target.
fn one(text: &str, labels: &Labels) -> Result<Wanted, String> {
    let unknown = match class(text, labels) {
        Ok(class) => return Ok(Wanted::One(Asked::Class(class))),
        Err(message) => message,
    };
    let count = |text: &str, prefix: &str| -> Option<Result<usize, String>> {
        let count = text.strip_prefix(prefix)?;
        Some(match count.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("--target {text:?}: write {prefix}K with K at least 1")),
        })
    };
    if let Some(count) = count(text, "top:") {
        return count.map(Wanted::Top);
    }
    if let Some(count) = count(text, "contrast:") {
        return count.map(|count| Wanted::One(Asked::Contrast(Class::Predicted, count)));
    }
    if let Some(rest) = text.strip_prefix('-')
        && let Ok(class) = class(rest, labels)
    {
        return Ok(Wanted::One(Asked::Against(class)));
    }
    // Labels have hyphens as well: the first one between two classes counts.
    let at = |(at, _): (usize, &str)| -> Option<Result<Wanted, String>> {
        let (first, second) = (text[..at].trim(), text[at + 1..].trim());
        let own = class(first, labels).ok()?;
        if let Some(count) = count(second, "top:") {
            return Some(count.map(|count| Wanted::One(Asked::Contrast(own, count))));
        }
        let other = class(second, labels).ok()?;
        Some(Ok(Wanted::One(Asked::Difference(own, other))))
    };
    text.match_indices('-').find_map(at).unwrap_or(Err(unknown))
}

/// Reads a class.
fn class(text: &str, labels: &Labels) -> Result<Class, String> {
    if text == "predicted" {
        return Ok(Class::Predicted);
    }
    if text == "expected" {
        return Ok(Class::Expected);
    }
    // As a folder of that name: a label first.
    if let Some(name) = text.strip_prefix("expected:") {
        return match (labels.classes(name.trim()).as_slice(), name.trim().parse()) {
            ([class], _) => Ok(Class::Index(*class)),
            (_, Ok(index)) => Ok(Class::Index(index)),
            _ => labels.class(name.trim()).map(Class::Index),
        };
    }
    match text.parse() {
        Ok(index) if !text.starts_with('+') => Ok(Class::Index(index)),
        _ => labels.class(text).map(Class::Index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Vec<Wanted>, String> {
        let labels = Labels::built_in();
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Targets::parse(&texts, &labels).map(|targets| targets.wanted)
    }

    #[test]
    fn targets_are_read() {
        use Asked::{Against, Contrast, Difference};
        let index = Class::Index;
        let one = |at| Wanted::One(Asked::Class(index(at)));
        let cases: [(&[&str], Vec<Wanted>); 14] = [
            (&[], vec![Wanted::One(Asked::Class(Class::Predicted))]),
            (&["predicted"], vec![Wanted::One(Asked::Class(Class::Predicted))]),
            (&["expected"], vec![Wanted::One(Asked::Class(Class::Expected))]),
            (&["expected:goldfish"], vec![one(1)]),
            (&["top:3"], vec![Wanted::Top(3)]),
            (&["285"], vec![one(285)]),
            (&["goldfish"], vec![one(1)]),
            (&["285, 281", "goldfish"], vec![one(285), one(281), one(1)]),
            (&["top:2,7"], vec![Wanted::Top(2), one(7)]),
            (&["-goldfish"], vec![Wanted::One(Against(index(1)))]),
            (&["285-goldfish"], vec![Wanted::One(Difference(index(285), index(1)))]),
            (&["predicted-3"], vec![Wanted::One(Difference(Class::Predicted, index(3)))]),
            (&["contrast:5"], vec![Wanted::One(Contrast(Class::Predicted, 5))]),
            (&["goldfish-top:5"], vec![Wanted::One(Contrast(index(1), 5))]),
        ];
        for (texts, expected) in cases {
            assert_eq!(parse(texts), Ok(expected), "{texts:?}");
        }
        // Labels with hyphens and commas.
        let labels = Labels::built_in();
        let hyphened = labels.text().lines().position(|name| name.contains('-')).unwrap();
        let name = labels.name(hyphened).unwrap().to_owned();
        assert_eq!(parse(&[&name]), Ok(vec![one(hyphened)]));
        let pair = format!("{name}-goldfish");
        let expected = Wanted::One(Difference(index(hyphened), index(1)));
        assert_eq!(parse(&[&pair]), Ok(vec![expected]));
        for text in ["top:0", "top:x", "contrast:0", "goldfish-nothing", "-nothing", "+3"] {
            assert!(parse(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_score_is_explained_once() {
        let prediction = Prediction { logits: vec![0.5, 3.0, 1.0], link: None };
        let labels = Labels::built_in();
        let scores = |text: &str, expected: Result<usize, String>| {
            Targets::parse(&[text.into()], &labels).unwrap().scores(&prediction, expected)
        };
        let unknown = || Err("no folder".to_owned());
        let classes: Vec<Score> = [1, 2, 0].map(Score::Class).to_vec();
        assert_eq!(scores("top:2,1,0,predicted", unknown()), Ok(classes));
        assert_eq!(scores("expected", Ok(2)), Ok(vec![Score::Class(2)]));
        assert_eq!(scores("expected", unknown()), Err("no folder".to_owned()));
        let contrast = Score::Contrast { class: 1, others: vec![0] };
        assert_eq!(scores("predicted-0", unknown()), Ok(vec![contrast]));
        assert!(scores("predicted-1", unknown()).is_err());
    }
}
