//! Einsum, by transposes, sums and matrix products.

use attriburn_kernels::frozen::Value as FrozenValue;
use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::linear::product;
use super::{ANY, Freezing, Operator, Run, Site, one};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] =
    &[Operator::new("Einsum", 12, (1, ANY), einsum).multiplies().frozen(frozen)];

/// The axes of a value, a letter each; those of an ellipsis are digits, counted from the end.
type Axes = Vec<char>;

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
            "its equation {equation:?} is of {} inputs, not {inputs}",
            terms.len()
        ));
    }
    one(move |inputs| {
        let mut values = Vec::with_capacity(terms.len());
        for (index, term) in terms.iter().enumerate() {
            let value = inputs.value(index)?;
            let axes = axes_of(term, value.rank())?;
            values.push(diagonal(value, axes)?);
        }
        let output = match &right {
            Some(right) => {
                // As many axes as the longest ellipsis stands for.
                let dots = values.iter().flat_map(|(_, axes)| axes).filter(|a| a.is_ascii_digit());
                let most = dots.map(|a| *a as usize - '0' as usize + 1).max().unwrap_or(0);
                axes_of(right, right.replace("...", "").len() + most)?
            }
            None => implicit(&values),
        };
        contract(values, &output)
    })
}

/// One product of two parts of a segment: of each letter that both have but not the output, the sum.
fn frozen(own: &mut Freezing) -> Option<FrozenValue> {
    let [a, b] = own.parts()?[..] else { return None };
    let equation = own.site.text("equation", "").ok()?.replace(' ', "");
    let (terms, output) = equation.split_once("->")?;
    let (left, right) = terms.split_once(',')?;
    let shapes = [own.builder.shape(a), own.builder.shape(b)];
    let left = axes_of(left, shapes[0].len()).ok()?;
    let right = axes_of(right, shapes[1].len()).ok()?;
    let output = axes_of(output, own.shapes[0].as_ref()?.len()).ok()?;
    let twice = |axes: &Axes| axes.iter().enumerate().any(|(at, own)| axes[..at].contains(own));
    let alone = |axes: &Axes, other: &Axes| {
        axes.iter().any(|letter| !other.contains(letter) && !output.contains(letter))
    };
    if twice(&left) || twice(&right) || alone(&left, &right) || alone(&right, &left) {
        return None;
    }
    let some = |axes: &Axes, wanted: &dyn Fn(&char) -> bool| -> Axes {
        axes.iter().copied().filter(|letter| wanted(letter)).collect()
    };
    let batch = some(&output, &|letter| left.contains(letter) && right.contains(letter));
    let rows = some(&output, &|letter| left.contains(letter) && !right.contains(letter));
    let columns = some(&output, &|letter| right.contains(letter) && !left.contains(letter));
    let inner = some(&left, &|letter| right.contains(letter) && !output.contains(letter));
    let place = |axes: &Axes, letter: &char| axes.iter().position(|own| own == letter);
    let size = |letter: &char| match place(&left, letter) {
        Some(at) => shapes[0][at],
        None => place(&right, letter).map_or(1, |at| shapes[1][at]),
    };
    let sizes = |axes: &Axes| axes.iter().map(size).collect::<Vec<usize>>();
    let count = |axes: &Axes| sizes(axes).iter().product::<usize>();
    let mut matrix = |x: FrozenValue, own_axes: &Axes, parts: [&Axes; 2]| {
        let order = [&batch, parts[0], parts[1]].into_iter().flatten();
        let order: Vec<_> = order.map(|letter| place(own_axes, letter)).collect::<Option<_>>()?;
        let turned = own.builder.permute(x, &order)?;
        let shape = [sizes(&batch), vec![count(parts[0]), count(parts[1])]].concat();
        own.builder.reshape(turned, &shape)
    };
    let a = matrix(a, &left, [&rows, &inner])?;
    let b = matrix(b, &right, [&inner, &columns])?;
    let product = own.builder.product(a, b)?;
    let made = [&batch[..], &rows, &columns].concat();
    let whole = own.builder.reshape(product, &sizes(&made))?;
    let order: Vec<_> = output.iter().map(|letter| place(&made, letter)).collect::<Option<_>>()?;
    own.builder.permute(whole, &order)
}

/// The letters of a term for a value of `rank` axes.
fn axes_of(term: &str, rank: usize) -> Outcome<Axes> {
    let wrong = || format!("its term {term:?} does not fit {rank} axes");
    let letters = |part: &str| part.chars().all(char::is_alphabetic);
    let Some((before, after)) = term.split_once("...") else {
        let axes: Axes = term.chars().collect();
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

/// A value whose letter stands twice is its diagonal along these axes.
fn diagonal(value: Value, axes: Axes) -> Outcome<(Value, Axes)> {
    let Some((second, first)) = axes.iter().enumerate().find_map(|(at, letter)| {
        axes[..at].iter().position(|earlier| earlier == letter).map(|first| (at, first))
    }) else {
        return Ok((value, axes));
    };
    let dims = value.dims();
    if dims[first] != dims[second] {
        return Err(format!("{dims:?} has no diagonal along the axes {first} and {second}"));
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

/// Without an output: the ellipsis, and each letter that stands once, in alphabetical order.
fn implicit(values: &[(Value, Axes)]) -> Axes {
    let all: Axes = values.iter().flat_map(|(_, axes)| axes.clone()).collect();
    let mut dots: Axes = all.iter().copied().filter(char::is_ascii_digit).collect();
    dots.sort_unstable_by(|a, b| b.cmp(a));
    dots.dedup();
    let once = |letter: &char| all.iter().filter(|other| *other == letter).count() == 1;
    let mut letters: Axes =
        all.iter().copied().filter(|letter| letter.is_alphabetic() && once(letter)).collect();
    letters.sort_unstable();
    [dots, letters].concat()
}

/// Takes the inputs together one after the other, each letter summed as soon as nothing else has it.
fn contract(values: Vec<(Value, Axes)>, output: &Axes) -> Outcome<Value> {
    let mut left = values.into_iter();
    let (mut value, mut axes) = left.next().ok_or("it has no inputs")?;
    let mut rest: Vec<(Value, Axes)> = left.collect();
    while !rest.is_empty() {
        let (next, next_axes) = rest.remove(0);
        let later = |letter: &char| {
            output.contains(letter) || rest.iter().any(|(_, axes)| axes.contains(letter))
        };
        (value, axes) = pair((value, axes), (next, next_axes), later)?;
    }
    let (value, axes) = summed(value, axes, |letter| output.contains(letter))?;
    arranged(value, &axes, output)
}

/// Sums the axes that are not `kept`.
fn summed(value: Value, axes: Axes, kept: impl Fn(&char) -> bool) -> Outcome<(Value, Axes)> {
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

/// A batched matrix product of two values.
fn pair(
    (a, a_axes): (Value, Axes),
    (b, b_axes): (Value, Axes),
    later: impl Fn(&char) -> bool,
) -> Outcome<(Value, Axes)> {
    // What only one of them has and nothing needs is summed first.
    let (a, a_axes) = summed(a, a_axes, |letter| b_axes.contains(letter) || later(letter))?;
    let (b, b_axes) = summed(b, b_axes, |letter| a_axes.contains(letter) || later(letter))?;
    let size = |letter: &char| -> Outcome<usize> {
        let of = |value: &Value, axes: &Axes| {
            axes.iter().position(|own| own == letter).map(|axis| value.dims()[axis])
        };
        match (of(&a, &a_axes), of(&b, &b_axes)) {
            (Some(x), Some(y)) if x == y || y == 1 => Ok(x),
            (Some(1), Some(y)) | (None, Some(y)) => Ok(y),
            (Some(x), None) => Ok(x),
            (x, y) => Err(format!("the axis {letter} has the sizes {x:?} and {y:?}")),
        }
    };
    let both = |letter: &&char| b_axes.contains(letter);
    let batch: Axes = a_axes.iter().filter(both).filter(|l| later(l)).copied().collect();
    let inner: Axes = a_axes.iter().filter(both).filter(|l| !later(l)).copied().collect();
    let rows: Axes = a_axes.iter().filter(|l| !b_axes.contains(l)).copied().collect();
    let columns: Axes = b_axes.iter().filter(|l| !a_axes.contains(l)).copied().collect();
    let sizes = |axes: &Axes| axes.iter().map(size).collect::<Outcome<Vec<usize>>>();
    let (batches, inners) = (sizes(&batch)?, sizes(&inner)?);
    let (row_sizes, column_sizes) = (sizes(&rows)?, sizes(&columns)?);
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let shaped = |value: Value, axes: &Axes, parts: [&Axes; 3]| {
        let wanted = parts.into_iter().flatten().copied().collect();
        let arranged = arranged(value, axes, &wanted)?;
        arranged.expand(&sizes(&wanted)?)?.reshape(&[
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
    Ok((product(&a, &b)?.reshape(&dims)?, axes))
}

/// The axes in the order that is `wanted`.
fn arranged(value: Value, axes: &Axes, wanted: &Axes) -> Outcome<Value> {
    let order: Option<Vec<usize>> =
        wanted.iter().map(|letter| axes.iter().position(|own| own == letter)).collect();
    match order {
        Some(order) if order.len() == axes.len() => value.permute(&order),
        _ => Err(format!("its axes {axes:?} are not those of {wanted:?}")),
    }
}
