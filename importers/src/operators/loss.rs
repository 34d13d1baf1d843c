//! Losses against given classes.

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
    /// Divided by the sum of the weights.
    Mean,
}

/// `-weight[t] x[t]` for the class `t` of each place, of the logarithms of a softmax or of the scores
/// before it.
fn loss(site: &Site, of_scores: bool) -> Outcome<Run> {
    let reduction = match site.text("reduction", "mean")?.as_str() {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        other => return Err(format!("its reduction {other:?} is not known")),
    };
    let ignored = site.node.attributes.int("ignore_index")?;
    Ok(Box::new(move |inputs| {
        let mut x = inputs.value(0)?;
        if x.rank() < 2 {
            return Err(format!("it does not take an input of {:?}", x.dims()));
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
    let places = [&dims[..1], &dims[2..]].concat();
    if targets.dims() != places {
        return Err(format!("its classes {:?} are not of places {places:?}", targets.dims()));
    }
    let weights = inputs.optional(2).map(|weights| weights.floats()).transpose()?;
    let (mut classes, mut shares) = (Vec::new(), Vec::new());
    for class in targets.ints()? {
        let left_out = ignored == Some(class);
        if !left_out && !(0..dims[1] as i64).contains(&class) {
            return Err(format!("there is no class {class} of {}", dims[1]));
        }
        let class = if left_out { 0 } else { class };
        let own =
            weights.as_ref().map_or(Some(1.0), |weights| weights.get(class as usize).copied());
        classes.push(class);
        let own = own.ok_or_else(|| format!("class {class} has no weight"))?;
        shares.push(if left_out { 0.0 } else { -own });
    }
    let mut single = dims.clone();
    single[1] = 1;
    let chosen =
        x.clone().gather(1, Value::from_ints(classes).reshape(&single)?)?.reshape(&places)?;
    let total = -shares.iter().sum::<f32>();
    let shares = Value::from_floats(shares).reshape(&places)?;
    let losses = binary(&chosen, &shares, Dispatch::float_mul, None)?;
    let divisor = match reduction {
        Reduction::None => return Ok(losses),
        Reduction::Sum => 1.0,
        Reduction::Mean => total,
    };
    let sum = Value::new(Dispatch::float_sum(losses.float()?)).reshape(&[])?;
    let divisor = Value::number(divisor);
    binary(&sum, &divisor, Dispatch::float_div, None)
}
