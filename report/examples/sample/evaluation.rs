//! A made-up page of an evaluation.

use attriburn_report::{
    Better, Curves, EvaluationPage, Extreme, Line, MetricRow, MetricSection, PairedDifference,
    Rank, Thumbnail,
};

use crate::maps::picture;
use crate::random::Random;

const METHODS: [&str; 6] =
    ["adaptgrad", "smoothgrad alpha=0.2", "gradient", "a-ig-black", "input-x-gradient", "grad-cam"];

fn section(name: &str, explanation: &str, better: Better, seed: u64) -> MetricSection {
    let mut random = Random(seed);
    let quality: Vec<f64> =
        METHODS.iter().map(|_| 0.3 + 0.4 * f64::from(random.uniform())).collect();
    let row = |(i, method): (usize, &&str)| MetricRow {
        method: (*method).into(),
        mean: (name != "pointing-game" || i != 4).then_some(quality[i]),
        standard_error: Some(0.015 + 0.01 * i as f64 / 5.0),
        count: 200 - i,
        missing: if name == "pointing-game" { 3 * i } else { 0 },
        reasons: if name == "pointing-game" && i > 0 {
            vec!["no box in the annotation".into()]
        } else {
            Vec::new()
        },
    };
    let pairs = (0..METHODS.len()).flat_map(|a| (a + 1..METHODS.len()).map(move |b| (a, b)));
    let difference = |(a, b): (usize, usize)| {
        let mean = quality[a] - quality[b];
        PairedDifference {
            first: METHODS[a].into(),
            second: METHODS[b].into(),
            mean,
            standard_error: Some(0.03),
            p: Some((-(mean / 0.03).powi(2) / 2.0).exp().min(1.0)),
            count: 195,
        }
    };
    let line = |(i, method): (usize, &&str)| Line {
        method: (*method).into(),
        points: (0..=20)
            .map(|step| f64::from(step) / 20.0)
            .map(|x| (x, x.powf(1.0 / (0.5 + 2.0 * quality[i])) * (0.9 - 0.03 * i as f64)))
            .collect(),
    };
    let extreme = |(i, rank): (usize, Rank)| Extreme {
        image: format!("val/n02123045_{i}.JPEG"),
        method: METHODS[i / 4].into(),
        rank,
        value: quality[i / 4] + if rank == Rank::Best { 0.3 } else { -0.3 } + i as f64 * 0.01,
        thumbnail: (i != 3).then_some(i % 6),
    };
    MetricSection {
        name: name.into(),
        explanation: explanation.into(),
        better,
        rows: METHODS.iter().enumerate().map(row).collect(),
        differences: pairs.map(difference).collect(),
        curves: (name == "sic").then(|| Curves {
            x_label: "normalized information".into(),
            y_label: "normalized probability".into(),
            lines: METHODS.iter().enumerate().map(line).collect(),
        }),
        extremes: (0..8).flat_map(|i| [(i, Rank::Best), (i, Rank::Worst)]).map(extreme).collect(),
    }
}

/// Returns a page that shows everything a page can show.
pub fn page() -> EvaluationPage {
    EvaluationPage {
        title: "6 methods on 200 images of ImageNet".into(),
        command: "attriburn evaluate val/ --methods all --metrics sic,stability --limit 200".into(),
        settings: [("model", "resnet50.onnx"), ("images", "200"), ("seed", "1")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        warnings: vec!["3 images could not be read; results.jsonl names them.".into()],
        metrics: vec![
            section(
                "sic",
                "Area under the probability of the class against the information shown.",
                Better::Higher,
                5,
            ),
            section("stability", "Distance of two maps with different seeds.", Better::Lower, 6),
            section(
                "pointing-game",
                "Share of the strongest pixels on the object.",
                Better::Higher,
                7,
            ),
            section("sparseness", "Gini index of the magnitudes.", Better::Higher, 8),
        ],
        thumbnails: (0..6)
            .map(|i| Thumbnail { picture: picture(96, i), overlay: picture(96, i + 50) })
            .collect(),
    }
}
