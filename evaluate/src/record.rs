//! Records: the values of one metric for one map each, as the file of results stores them.

use serde::{Deserialize, Serialize};

use crate::value::{Points, Value};

/// The value of one metric for one map, or the reason why it is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the sample.
    pub picture: String,
    /// The name of the variant.
    pub method: String,
    /// The index of the repeat.
    pub repeat: u32,
    /// The name of the metric.
    pub metric: String,
    /// The explained class; `None` for a sample that could not be read.
    pub class: Option<usize>,
    /// The value; `None` if it is missing.
    pub value: Option<f64>,
    /// The points of the curve that the value summarizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Points>,
    /// The reason why the value is missing.
    pub reason: Option<String>,
    /// Whether the value is missing because the metric is not defined for the map. Otherwise something
    /// failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_applicable: bool,
}

impl Record {
    /// Returns the value with its curve.
    pub fn value(&self) -> Option<Value> {
        Some(Value { number: self.value?, curve: self.curve.clone() })
    }
}
