//! Einsum as permutations, sums and matrix products.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::linear::matmul;
use super::{ANY, Freezing, Linear, Operator, Run, Site, single_output};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[Operator::new("Einsum", 12, (1, ANY), einsum)
    .linear(Linear::Singly)
    .multiplies()
    .frozen(frozen)];

/// The axis labels of a value, one character each. The axes of an ellipsis are labelled with digits, counted
/// from the end.
type Labels = Vec<char>;

fn einsum(site: &Site) -> Outcome<Run> {
    let equation = site.text("equation", "")?.replace(' ', "");
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
        None => (equation.clone(), None),
    };
    let terms: Vec<String> = left.split(',').map(str::to_owned).collect();
    let inputs = site.node.inputs.len();
    if terms.len() != inputs {
        return Err(format!(
            "the equation {equation:?} has {} terms, but the node has {inputs} inputs",
            terms.len()
        ));
    }
    single_output(move |inputs| {
        let mut values = Vec::with_capacity(terms.len());
        for (index, term) in terms.iter().enumerate() {
            let value = inputs.value(index)?;
            let axes = parse_labels(term, value.rank())?;
            values.push(diagonal(value, axes)?);
        }
        let output = match &right {
            Some(right) => {
                // The ellipsis of the output has as many axes as the longest ellipsis of the inputs.
                let dots = values.iter().flat_map(|(_, axes)| axes).filter(|a| a.is_ascii_digit());
                let most = dots.map(|a| *a as usize - '0' as usize + 1).max().unwrap_or(0);
                parse_labels(right, right.replace("...", "").len() + most)?
            }
            None => implicit_output(&values),
        };
        contract(values, &output)
    })
}

/// Lowers an equation of two inputs into a segment, if it is a single batched matrix product: labels of both
/// inputs that are not in the output are summed.
fn frozen(ctx: &mut Freezing) -> Option<FrozenValue> {
    let [a, b] = ctx.all_inputs()?[..] else { return None };
    let equation = ctx.site.text("equation", "").ok()?.replace(' ', "");
    let (terms, output) = equation.split_once("->")?;
    let (left, right) = terms.split_once(',')?;
    let shapes = [ctx.builder.shape(a), ctx.builder.shape(b)];
    let left = parse_labels(left, shapes[0].len()).ok()?;
    let right = parse_labels(right, shapes[1].len()).ok()?;
    let output = parse_labels(output, ctx.shapes[0].as_ref()?.len()).ok()?;
    let has_repeated =
        |axes: &Labels| axes.iter().enumerate().any(|(at, label)| axes[..at].contains(label));
    let has_unshared = |axes: &Labels, other: &Labels| {
        axes.iter().any(|letter| !other.contains(letter) && !output.contains(letter))
    };
    if has_repeated(&left)
        || has_repeated(&right)
        || has_unshared(&left, &right)
        || has_unshared(&right, &left)
    {
        return None;
    }
    let filter_labels = |axes: &Labels, keep: &dyn Fn(&char) -> bool| -> Labels {
        axes.iter().copied().filter(|letter| keep(letter)).collect()
    };
    let batch = filter_labels(&output, &|letter| left.contains(letter) && right.contains(letter));
    let rows = filter_labels(&output, &|letter| left.contains(letter) && !right.contains(letter));
    let columns =
        filter_labels(&output, &|letter| right.contains(letter) && !left.contains(letter));
    let inner = filter_labels(&left, &|letter| right.contains(letter) && !output.contains(letter));
    let position = |axes: &Labels, letter: &char| axes.iter().position(|label| label == letter);
    let size = |letter: &char| match position(&left, letter) {
        Some(at) => shapes[0][at],
        None => position(&right, letter).map_or(1, |at| shapes[1][at]),
    };
    let sizes = |axes: &Labels| axes.iter().map(size).collect::<Vec<usize>>();
    let count = |axes: &Labels| sizes(axes).iter().product::<usize>();
    let mut matrix = |x: FrozenValue, labels: &Labels, parts: [&Labels; 2]| {
        let order = [&batch, parts[0], parts[1]].into_iter().flatten();
        let order: Vec<_> = order.map(|letter| position(labels, letter)).collect::<Option<_>>()?;
        let permuted = ctx.builder.permute(x, &order)?;
        let shape = [sizes(&batch), vec![count(parts[0]), count(parts[1])]].concat();
        ctx.builder.reshape(permuted, &shape)
    };
    let a = matrix(a, &left, [&rows, &inner])?;
    let b = matrix(b, &right, [&inner, &columns])?;
    let product = ctx.builder.product(a, b)?;
    let product_labels = [&batch[..], &rows, &columns].concat();
    let unflattened = ctx.builder.reshape(product, &sizes(&product_labels))?;
    let order: Vec<_> =
        output.iter().map(|letter| position(&product_labels, letter)).collect::<Option<_>>()?;
    ctx.builder.permute(unflattened, &order)
}

/// Returns the axis labels of a term for a value of rank `rank`.
fn parse_labels(term: &str, rank: usize) -> Outcome<Labels> {
    let wrong = || format!("the term {term:?} does not match an input of rank {rank}");
    let letters = |part: &str| part.chars().all(char::is_alphabetic);
    let Some((before, after)) = term.split_once("...") else {
        let axes: Labels = term.chars().collect();
        return if letters(term) && axes.len() == rank { Ok(axes) } else { Err(wrong()) };
    };
    let named = before.chars().count() + after.chars().count();
    let dots = rank.checked_sub(named).filter(|dots| *dots < 10).ok_or_else(wrong)?;
    if !letters(before) || !letters(after) {
        return Err(wrong());
    }
    let dots = (0..dots).rev().filter_map(|dot| char::from_digit(dot as u32, 10));
    Ok(before.chars().chain(dots).chain(after.chars()).collect())
}

/// Takes the diagonal of a value along axes that share a label.
fn diagonal(value: Value, axes: Labels) -> Outcome<(Value, Labels)> {
    let Some((second, first)) = axes.iter().enumerate().find_map(|(at, letter)| {
        axes[..at].iter().position(|earlier| earlier == letter).map(|first| (at, first))
    }) else {
        return Ok((value, axes));
    };
    let dims = value.dims();
    if dims[first] != dims[second] {
        return Err(format!(
            "axes {first} and {second} of {dims:?} share a label but differ in size"
        ));
    }
    let rest: Vec<usize> = (0..dims.len()).filter(|axis| ![first, second].contains(axis)).collect();
    let order = [&[first, second], &rest[..]].concat();
    let size = dims[first];
    let others: Vec<usize> = rest.iter().map(|&axis| dims[axis]).collect();
    let flat = value.permute(&order)?.reshape(&[&[size * size], &others[..]].concat())?;
    let picked = flat.select(0, (0..size).map(|at| (at * (size + 1)) as i64).collect())?;
    let left = std::iter::once(axes[first]).chain(rest.iter().map(|&axis| axes[axis])).collect();
    diagonal(picked, left)
}

/// Returns the output labels of an equation without `->`: the ellipsis, then the labels that occur once, in
/// alphabetical order.
fn implicit_output(values: &[(Value, Labels)]) -> Labels {
    let all: Labels = values.iter().flat_map(|(_, axes)| axes.clone()).collect();
    let mut dots: Labels = all.iter().copied().filter(char::is_ascii_digit).collect();
    dots.sort_unstable_by(|a, b| b.cmp(a));
    dots.dedup();
    let once = |letter: &char| all.iter().filter(|other| *other == letter).count() == 1;
    let mut letters: Labels =
        all.iter().copied().filter(|letter| letter.is_alphabetic() && once(letter)).collect();
    letters.sort_unstable();
    [dots, letters].concat()
}

/// Contracts the inputs from left to right. Each label is summed as soon as no later term has it.
fn contract(values: Vec<(Value, Labels)>, output: &Labels) -> Outcome<Value> {
    let mut left = values.into_iter();
    let (mut value, mut axes) = left.next().ok_or("the node has no inputs")?;
    let mut rest: Vec<(Value, Labels)> = left.collect();
    while !rest.is_empty() {
        let (next, next_axes) = rest.remove(0);
        let later = |letter: &char| {
            output.contains(letter) || rest.iter().any(|(_, axes)| axes.contains(letter))
        };
        (value, axes) = contract_pair((value, axes), (next, next_axes), later)?;
    }
    let (value, axes) = sum_out(value, axes, |letter| output.contains(letter))?;
    permute_to(value, &axes, output)
}

/// Sums all axes whose label is not `kept`.
fn sum_out(value: Value, axes: Labels, kept: impl Fn(&char) -> bool) -> Outcome<(Value, Labels)> {
    let mut tensor = value.float()?;
    let dims = value.dims();
    let mut left = Vec::new();
    for (axis, letter) in axes.iter().enumerate() {
        if kept(letter) {
            left.push(dims[axis]);
        } else {
            tensor = Dispatch::float_sum_dim(tensor, axis);
        }
    }
    let value = Value::new(tensor).reshape(&left)?;
    Ok((value, axes.into_iter().filter(|letter| kept(letter)).collect()))
}

/// Contracts two values by a batched matrix product; `later` tells which labels are still needed.
fn contract_pair(
    (a, a_axes): (Value, Labels),
    (b, b_axes): (Value, Labels),
    later: impl Fn(&char) -> bool,
) -> Outcome<(Value, Labels)> {
    // Labels of only one operand that are not needed later are summed first.
    let (a, a_axes) = sum_out(a, a_axes, |letter| b_axes.contains(letter) || later(letter))?;
    let (b, b_axes) = sum_out(b, b_axes, |letter| a_axes.contains(letter) || later(letter))?;
    let size = |letter: &char| -> Outcome<usize> {
        let of = |value: &Value, axes: &Labels| {
            axes.iter().position(|label| label == letter).map(|axis| value.dims()[axis])
        };
        match (of(&a, &a_axes), of(&b, &b_axes)) {
            (Some(x), Some(y)) if x == y || y == 1 => Ok(x),
            (Some(1), Some(y)) | (None, Some(y)) => Ok(y),
            (Some(x), None) => Ok(x),
            (x, y) => Err(format!("the label {letter} has two sizes, {x:?} and {y:?}")),
        }
    };
    let both = |letter: &&char| b_axes.contains(letter);
    let batch: Labels = a_axes.iter().filter(both).filter(|l| later(l)).copied().collect();
    let inner: Labels = a_axes.iter().filter(both).filter(|l| !later(l)).copied().collect();
    let rows: Labels = a_axes.iter().filter(|l| !b_axes.contains(l)).copied().collect();
    let columns: Labels = b_axes.iter().filter(|l| !a_axes.contains(l)).copied().collect();
    let sizes = |axes: &Labels| axes.iter().map(size).collect::<Outcome<Vec<usize>>>();
    let (batches, inners) = (sizes(&batch)?, sizes(&inner)?);
    let (row_sizes, column_sizes) = (sizes(&rows)?, sizes(&columns)?);
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let shaped = |value: Value, axes: &Labels, parts: [&Labels; 3]| {
        let wanted = parts.into_iter().flatten().copied().collect();
        let permuted = permute_to(value, axes, &wanted)?;
        permuted.expand(&sizes(&wanted)?)?.reshape(&[
            count(&batches),
            count(&sizes(parts[1])?),
            count(&sizes(parts[2])?),
        ])
    };
    let a = shaped(a.clone(), &a_axes, [&batch, &rows, &inner])?;
    let b = shaped(b.clone(), &b_axes, [&batch, &inner, &columns])?;
    debug_assert_eq!(count(&inners), a.dims()[2]);
    let dims = [batches, row_sizes, column_sizes].concat();
    let axes = [batch, rows, columns].concat();
    Ok((matmul(&a, &b)?.reshape(&dims)?, axes))
}

/// Permutes the axes to the label order `wanted`.
fn permute_to(value: Value, axes: &Labels, wanted: &Labels) -> Outcome<Value> {
    let order: Option<Vec<usize>> =
        wanted.iter().map(|letter| axes.iter().position(|label| label == letter)).collect();
    match order {
        Some(order) if order.len() == axes.len() => value.permute(&order),
        _ => Err(format!("cannot arrange the labels {axes:?} as {wanted:?}")),
    }
}
