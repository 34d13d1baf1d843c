//! Classification losses against target classes.

use burn::backend::Dispatch;
use burn::backend::ops::{ActivationOps, FloatTensorOps};

use super::{Inputs, Operator, Run, Site};
use crate::value::{Outcome, Value, binary};

pub const OPERATORS: &[Operator] = &[
    Operator::new("NegativeLogLikelihoodLoss", 12, (2, 3), |site| loss(site, false)),
    Operator::new("SoftmaxCrossEntropyLoss", 12, (2, 3), |site| loss(site, true)).outputs(2),
];

#[derive(Clone, Copy)]
enum Reduction {
    None,
    Sum,
    /// The sum divided by the sum of the class weights of the targets.
    Mean,
}

/// `-weight[t] x[t]` for the target class `t` at each position. `x` holds log-probabilities, or raw scores if
/// `of_scores` is set.
fn loss(site: &Site, of_scores: bool) -> Outcome<Run> {
    let reduction = match site.text("reduction", "mean")?.as_str() {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        other => return Err(format!("reduction {other:?} is not supported")),
    };
    let ignored = site.node.attributes.int("ignore_index")?;
    Ok(Box::new(move |inputs| {
        let mut x = inputs.value(0)?;
        if x.rank() < 2 {
            return Err(format!("expected rank 2 or more, got shape {:?}", x.dims()));
        }
        if of_scores {
            let logarithms = Dispatch::log_softmax(x.float()?, 1);
            x = Value::new(logarithms);
        }
        let loss = negative_likelihood(&x, inputs, ignored, reduction)?;
        Ok(vec![loss, x])
    }))
}

fn negative_likelihood(
    x: &Value,
    inputs: &Inputs,
    ignored: Option<i64>,
    reduction: Reduction,
) -> Outcome<Value> {
    let (dims, targets) = (x.dims(), inputs.value(1)?);
    let positions = [&dims[..1], &dims[2..]].concat();
    if targets.dims() != positions {
        return Err(format!("the target shape {:?} must be {positions:?}", targets.dims()));
    }
    let weights = inputs.optional(2).map(|weights| weights.floats()).transpose()?;
    let (mut classes, mut negative_weights) = (Vec::new(), Vec::new());
    for class in targets.ints()? {
        let is_ignored = ignored == Some(class);
        if !is_ignored && !(0..dims[1] as i64).contains(&class) {
            return Err(format!("target class {class} is out of range for {} classes", dims[1]));
        }
        let class = if is_ignored { 0 } else { class };
        let weight =
            weights.as_ref().map_or(Some(1.0), |weights| weights.get(class as usize).copied());
        classes.push(class);
        let weight = weight.ok_or_else(|| format!("class {class} has no weight"))?;
        negative_weights.push(if is_ignored { 0.0 } else { -weight });
    }
    let mut single = dims.clone();
    single[1] = 1;
    let chosen =
        x.clone().gather(1, Value::from_ints(classes).reshape(&single)?)?.reshape(&positions)?;
    let total = -negative_weights.iter().sum::<f32>();
    let negative_weights = Value::from_floats(negative_weights).reshape(&positions)?;
    let losses = binary(&chosen, &negative_weights, Dispatch::float_mul, None)?;
    let divisor = match reduction {
        Reduction::None => return Ok(losses),
        Reduction::Sum => 1.0,
        Reduction::Mean => total,
    };
    let sum = Value::new(Dispatch::float_sum(losses.float()?)).reshape(&[])?;
    let divisor = Value::number(divisor);
    binary(&sum, &divisor, Dispatch::float_div, None)
}
