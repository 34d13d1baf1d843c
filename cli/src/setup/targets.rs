//! The scores to explain for each image.

use attriburn::{Prediction, Score, Target};

use crate::setup::labels::Labels;

/// The targets of a run. Each image has one or more scores per target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The targets as they were written.
    pub texts: Vec<String>,
    specs: Vec<TargetSpec>,
}

/// A parsed target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetSpec {
    Score(ScoreSpec),
    /// The scores of the K most likely classes.
    Top(usize),
}

/// A score whose classes may depend on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScoreSpec {
    Class(ClassSpec),
    Against(ClassSpec),
    Difference(ClassSpec, ClassSpec),
    /// The log-odds of a class among the K most likely classes.
    Contrast(ClassSpec, usize),
}

/// A class that may depend on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClassSpec {
    Predicted,
    /// The class that the image's folder is named after.
    Expected,
    Index(usize),
}

impl Targets {
    /// Parses `texts`. A text with commas is first read as a single label, then as a list of targets. No
    /// texts mean the predicted class.
    ///
    /// | text | score |
    /// |---|---|
    /// | `predicted`, `expected`, an index, a label, `expected:LABEL` | the score of the class |
    /// | `-A` | the negated score of `A` |
    /// | `A-B` | the difference of the scores of two classes |
    /// | `A-top:K`, `contrast:K` | the log-odds of `A`, or the predicted class, among the `K` most likely |
    /// | `top:K` | the scores of the `K` most likely classes, one map each |
    ///
    /// # Errors
    ///
    /// When a text is none of these.
    pub fn parse(texts: &[String], labels: &Labels) -> Result<Self, String> {
        let mut specs = Vec::new();
        for text in texts {
            let whole = parse_target(text.trim(), labels);
            let parts = || text.split(',').map(|part| parse_target(part.trim(), labels));
            match whole {
                Ok(spec) => specs.push(spec),
                Err(_) if text.contains(',') && parts().all(|part| part.is_ok()) => {
                    specs.extend(parts().flatten());
                }
                Err(message) => return Err(message),
            }
        }
        if specs.is_empty() {
            specs.push(TargetSpec::Score(ScoreSpec::Class(ClassSpec::Predicted)));
        }
        let texts = match texts {
            [] => vec!["predicted".to_owned()],
            texts => texts.to_vec(),
        };
        Ok(Self { texts, specs })
    }

    /// Checks the targets against a model of `classes` classes.
    ///
    /// # Errors
    ///
    /// When a class does not exist, or a target compares a class with itself.
    pub fn check(&self, classes: usize) -> Result<(), String> {
        let unknown = |class: &ClassSpec| match *class {
            ClassSpec::Index(index) if index >= classes => Some(format!(
                "the target {index} does not exist: the model has {classes} classes, 0 to {}",
                classes.saturating_sub(1)
            )),
            _ => None,
        };
        let too_many = |count: usize| {
            (count > classes).then(|| {
                format!("--target {}: the model has {classes} classes", self.texts.join(", "))
            })
        };
        let invalid = |reason: &str| Some(format!("--target {}: {reason}", self.texts.join(", ")));
        let problem = |spec: &TargetSpec| match spec {
            TargetSpec::Top(count) => too_many(*count),
            TargetSpec::Score(ScoreSpec::Class(class) | ScoreSpec::Against(class)) => {
                unknown(class)
            }
            TargetSpec::Score(ScoreSpec::Difference(class, other)) if class == other => {
                invalid("a class is compared with itself")
            }
            TargetSpec::Score(ScoreSpec::Difference(class, other)) => {
                unknown(class).or_else(|| unknown(other))
            }
            TargetSpec::Score(ScoreSpec::Contrast(_, 0 | 1)) => {
                invalid("a contrast needs at least 2 classes")
            }
            TargetSpec::Score(ScoreSpec::Contrast(class, top)) => {
                unknown(class).or_else(|| too_many(*top))
            }
        };
        self.specs.iter().find_map(problem).map_or(Ok(()), Err)
    }

    /// Returns whether an image may have several maps per method, each in a separate folder.
    pub fn may_be_several(&self) -> bool {
        !matches!(self.specs[..], [TargetSpec::Score(_)])
    }

    /// Returns whether every target is the score of a class.
    pub fn are_classes(&self) -> bool {
        let is_class = |spec: &TargetSpec| {
            matches!(spec, TargetSpec::Score(ScoreSpec::Class(_)) | TargetSpec::Top(_))
        };
        self.specs.iter().all(is_class)
    }

    /// Returns whether a target is a contrast of more than two classes, which is defined for logits only.
    pub fn need_logits(&self) -> bool {
        self.specs.iter().any(|spec| matches!(spec, TargetSpec::Score(ScoreSpec::Contrast(_, 3..))))
    }

    /// Returns the maximum number of scores per image.
    pub fn max_scores(&self) -> usize {
        let count = |spec: &TargetSpec| match *spec {
            TargetSpec::Score(_) => 1,
            TargetSpec::Top(count) => count,
        };
        self.specs.iter().map(count).sum()
    }

    /// Returns the scores for one prediction, without duplicates. `expected` is the class that the image's
    /// folder is named after.
    ///
    /// # Errors
    ///
    /// When a target needs the expected class and it is unknown, or a class is compared with itself.
    pub fn scores(
        &self,
        prediction: &Prediction,
        expected: Result<usize, String>,
    ) -> Result<Vec<Score>, String> {
        let index = |class: ClassSpec| match class {
            ClassSpec::Predicted => Ok(prediction.class()),
            ClassSpec::Expected => expected.clone(),
            ClassSpec::Index(index) => Ok(index),
        };
        let mut scores = Vec::new();
        for spec in &self.specs {
            let targets = match *spec {
                TargetSpec::Top(count) => {
                    prediction.ranking().into_iter().take(count).map(Target::Index).collect()
                }
                TargetSpec::Score(score) => vec![match score {
                    ScoreSpec::Class(class) => Target::Index(index(class)?),
                    ScoreSpec::Against(class) => Target::Against(index(class)?),
                    ScoreSpec::Difference(class, other) => {
                        Target::Difference { class: index(class)?, other: index(other)? }
                    }
                    ScoreSpec::Contrast(class, top) => {
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

/// Parses a single target.
fn parse_target(text: &str, labels: &Labels) -> Result<TargetSpec, String> {
    let unknown = match parse_class(text, labels) {
        Ok(class) => return Ok(TargetSpec::Score(ScoreSpec::Class(class))),
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
        return count.map(TargetSpec::Top);
    }
    if let Some(count) = count(text, "contrast:") {
        return count
            .map(|count| TargetSpec::Score(ScoreSpec::Contrast(ClassSpec::Predicted, count)));
    }
    if let Some(rest) = text.strip_prefix('-')
        && let Ok(class) = parse_class(rest, labels)
    {
        return Ok(TargetSpec::Score(ScoreSpec::Against(class)));
    }
    // Labels may contain hyphens: the first hyphen between two valid classes separates them.
    let split_at = |(hyphen, _): (usize, &str)| -> Option<Result<TargetSpec, String>> {
        let (first, second) = (text[..hyphen].trim(), text[hyphen + 1..].trim());
        let class = parse_class(first, labels).ok()?;
        if let Some(count) = count(second, "top:") {
            return Some(count.map(|count| TargetSpec::Score(ScoreSpec::Contrast(class, count))));
        }
        let other = parse_class(second, labels).ok()?;
        Some(Ok(TargetSpec::Score(ScoreSpec::Difference(class, other))))
    };
    text.match_indices('-').find_map(split_at).unwrap_or(Err(unknown))
}

/// Parses a class.
fn parse_class(text: &str, labels: &Labels) -> Result<ClassSpec, String> {
    if text == "predicted" {
        return Ok(ClassSpec::Predicted);
    }
    if text == "expected" {
        return Ok(ClassSpec::Expected);
    }
    // As for a folder name, a label is tried before an index.
    if let Some(name) = text.strip_prefix("expected:") {
        return match (labels.classes(name.trim()).as_slice(), name.trim().parse()) {
            ([class], _) => Ok(ClassSpec::Index(*class)),
            (_, Ok(index)) => Ok(ClassSpec::Index(index)),
            _ => labels.class(name.trim()).map(ClassSpec::Index),
        };
    }
    match text.parse() {
        Ok(index) if !text.starts_with('+') => Ok(ClassSpec::Index(index)),
        _ => labels.class(text).map(ClassSpec::Index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Vec<TargetSpec>, String> {
        let labels = Labels::built_in();
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Targets::parse(&texts, &labels).map(|targets| targets.specs)
    }

    #[test]
    fn parse_reads_every_kind_of_target() {
        use ScoreSpec::{Against, Contrast, Difference};
        let index = ClassSpec::Index;
        let class = |at| TargetSpec::Score(ScoreSpec::Class(index(at)));
        let cases: [(&[&str], Vec<TargetSpec>); 14] = [
            (&[], vec![TargetSpec::Score(ScoreSpec::Class(ClassSpec::Predicted))]),
            (&["predicted"], vec![TargetSpec::Score(ScoreSpec::Class(ClassSpec::Predicted))]),
            (&["expected"], vec![TargetSpec::Score(ScoreSpec::Class(ClassSpec::Expected))]),
            (&["expected:goldfish"], vec![class(1)]),
            (&["top:3"], vec![TargetSpec::Top(3)]),
            (&["285"], vec![class(285)]),
            (&["goldfish"], vec![class(1)]),
            (&["285, 281", "goldfish"], vec![class(285), class(281), class(1)]),
            (&["top:2,7"], vec![TargetSpec::Top(2), class(7)]),
            (&["-goldfish"], vec![TargetSpec::Score(Against(index(1)))]),
            (&["285-goldfish"], vec![TargetSpec::Score(Difference(index(285), index(1)))]),
            (&["predicted-3"], vec![TargetSpec::Score(Difference(ClassSpec::Predicted, index(3)))]),
            (&["contrast:5"], vec![TargetSpec::Score(Contrast(ClassSpec::Predicted, 5))]),
            (&["goldfish-top:5"], vec![TargetSpec::Score(Contrast(index(1), 5))]),
        ];
        for (texts, expected) in cases {
            assert_eq!(parse(texts), Ok(expected), "{texts:?}");
        }
        // Labels with hyphens.
        let labels = Labels::built_in();
        let hyphened = labels.text().lines().position(|name| name.contains('-')).unwrap();
        let name = labels.name(hyphened).unwrap().to_owned();
        assert_eq!(parse(&[&name]), Ok(vec![class(hyphened)]));
        let pair = format!("{name}-goldfish");
        let expected = TargetSpec::Score(Difference(index(hyphened), index(1)));
        assert_eq!(parse(&[&pair]), Ok(vec![expected]));
        for text in ["top:0", "top:x", "contrast:0", "goldfish-nothing", "-nothing", "+3"] {
            assert!(parse(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn scores_have_no_duplicates() {
        let prediction = Prediction::new(vec![0.5, 3.0, 1.0], None).unwrap();
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
