//! Resolution of targets to scores.

use attriburn::{ErrorKind, Link, Prediction, Score, Target};

#[test]
fn targets_resolve_to_scores() {
    let prediction = Prediction::new(vec![1.0, 4.0, 3.0, -2.0], Some(Link::Softmax)).unwrap();
    let score = |target: Target| prediction.score(&target);
    assert_eq!(score(Target::Predicted).unwrap(), Score::Class(1));
    assert_eq!(score(Target::Against(3)).unwrap(), Score::Against(3));
    let contrast = |class, others: &[usize]| Score::Contrast { class, others: others.to_vec() };
    let difference = Target::Difference { class: 0, other: 2 };
    assert_eq!(score(difference).unwrap(), contrast(0, &[2]));
    let top = |class, top| score(Target::Contrast { class, top });
    assert_eq!(top(None, 3).unwrap(), contrast(1, &[2, 0]));
    assert_eq!(top(Some(3), 3).unwrap(), contrast(3, &[1, 2]));
    for (target, message) in [
        (Target::Index(4), "the target 4 does not exist"),
        (Target::Difference { class: 1, other: 1 }, "compared with itself"),
        (Target::Contrast { class: None, top: 5 }, "the model has 4"),
        (Target::Contrast { class: None, top: 1 }, "at least 2"),
    ] {
        let error = score(target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Target);
        assert!(error.to_string().contains(message), "{error}");
    }
}
