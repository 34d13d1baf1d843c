//! Recurrent layers, unrolled over the positions of the sequence.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, Scalar};

use super::activation::{Activation, of_name};
use super::arithmetic::{add, multiply, subtract};
use super::linear::{product, turned};
use super::{Inputs, Operator, Run, Site, size};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("RNN", 7, (3, 6), |site| layer(site, Cell::Plain))
        .outputs(2)
        .settings(&[4])
        .multiplies(),
    Operator::new("GRU", 7, (3, 6), |site| {
        layer(site, Cell::Gru { resets_late: site.flag("linear_before_reset", false)? })
    })
    .outputs(2)
    .settings(&[4])
    .multiplies(),
    Operator::new("LSTM", 7, (3, 8), |site| layer(site, Cell::Lstm))
        .outputs(3)
        .settings(&[4])
        .multiplies(),
];

/// What happens at a position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Plain,
    /// `resets_late`: the reset gate is applied behind the product with the recurrent weights.
    Gru {
        resets_late: bool,
    },
    Lstm,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Gru { .. } => 3,
            Self::Lstm => 4,
        }
    }

    /// The activations of one direction where the file names none.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// A layer in one direction.
struct Direction {
    index: usize,
    reversed: bool,
    activations: Vec<Activation>,
    clip: Option<f64>,
    couples: bool,
}

/// The weights of a direction, and where it begins.
struct Weights {
    /// `[inputs, gates * hidden]`.
    w: Value,
    /// `[hidden, gates * hidden]`.
    r: Value,
    /// The biases of the input and of the recurrence, `[gates * hidden]`.
    biases: Option<(Value, Value)>,
    /// Of an LSTM, `[hidden]` each.
    peepholes: Option<[Value; 3]>,
    hidden: usize,
}

/// The state of an LSTM, of which others have the first part.
#[derive(Clone)]
struct State {
    h: Value,
    c: Value,
}

fn layer(site: &Site, cell: Cell) -> Outcome<Run> {
    let reversed: &[bool] = match site.text("direction", "forward")?.as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("its direction {other:?} is not known")),
    };
    let names = site.node.attributes.texts("activations")?;
    let defaults = cell.activations();
    let names = names.unwrap_or_else(|| {
        reversed.iter().flat_map(|_| defaults.iter().map(|&name| name.to_owned())).collect()
    });
    if names.len() != defaults.len() * reversed.len() {
        return Err(format!("its activations {names:?} are not {} a direction", defaults.len()));
    }
    let clip = site.node.attributes.float("clip")?;
    let couples = cell == Cell::Lstm && site.flag("input_forget", false)?;
    // The size follows from the weights.
    site.ignore(&["hidden_size"]);
    let batch_first = site.opset() >= 14 && site.flag("layout", false)?;
    let directions = reversed.iter().zip(names.chunks(defaults.len())).enumerate();
    let directions = directions.map(|(index, (&reversed, names))| {
        let activations = names.iter().map(|name| of_name(name, &[])).collect::<Outcome<_>>()?;
        Ok(Direction { index, reversed, activations, clip, couples })
    });
    let directions = directions.collect::<Outcome<Vec<_>>>()?;
    Ok(Box::new(move |inputs| {
        let turn = |x: Value| if batch_first { x.permute(&[1, 0, 2]) } else { Ok(x) };
        let x = turn(inputs.value(0)?)?;
        let [length, batch, _] = x.dims()[..] else {
            return Err(format!("it takes sequences of vectors, not {:?}", x.dims()));
        };
        if inputs.value(1)?.dims().first() != Some(&directions.len()) {
            return Err(format!("its weights are not of {} directions", directions.len()));
        }
        let lengths = match inputs.optional(4) {
            Some(lengths) => {
                Some(lengths.ints()?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?)
            }
            None => None,
        };
        if lengths
            .as_ref()
            .is_some_and(|all| all.len() != batch || all.iter().any(|&own| own > length))
        {
            return Err(format!(
                "its sequence_lens {lengths:?} do not fit {batch} sequences of {length}"
            ));
        }
        let (mut rows, mut last) = (Vec::new(), Vec::new());
        for direction in &directions {
            let weights = direction.weights(inputs, cell)?;
            let start = |index: usize| match inputs.optional(index) {
                Some(start) => turn(start)?.part(0, direction.index),
                None => Value::filled(0.0, &[batch, weights.hidden]),
            };
            let c = if cell == Cell::Lstm {
                start(6)?
            } else {
                Value::filled(0.0, &[batch, weights.hidden])?
            };
            let state = State { h: start(5)?, c };
            let (own, end) = direction.run(&x, state, &weights, cell, lengths.as_deref())?;
            rows.push(own);
            last.push(end);
        }
        let stacked = |values: Vec<Value>, axis: usize| {
            let wide = values.into_iter().map(|value| value.with_axis(axis));
            Value::concat(&wide.collect::<Outcome<Vec<_>>>()?, axis)
        };
        // `[length, directions, batch, hidden]`.
        let all = stacked(rows, 1)?;
        let all = if batch_first { all.permute(&[2, 0, 1, 3])? } else { all };
        let h = turn(stacked(last.iter().map(|state| state.h.clone()).collect(), 0)?)?;
        let c = turn(stacked(last.into_iter().map(|state| state.c).collect(), 0)?)?;
        Ok(vec![all, h, c])
    }))
}

impl Direction {
    fn weights(&self, inputs: &Inputs, cell: Cell) -> Outcome<Weights> {
        let own = |index: usize| turned(inputs.value(index)?.part(0, self.index)?, true);
        let (w, r) = (own(1)?, own(2)?);
        let hidden = r.dims()[0];
        let wide = cell.gates() * hidden;
        if w.dims()[1] != wide || r.dims()[1] != wide {
            return Err(format!("its weights are not those of {hidden} hidden values"));
        }
        let biases = match inputs.optional(3) {
            Some(biases) => {
                let biases = biases.part(0, self.index)?;
                Some((biases.clone().range(0, 0..wide), biases.range(0, wide..2 * wide)))
            }
            None => None,
        };
        let peepholes = match inputs.optional(7) {
            Some(peepholes) if cell == Cell::Lstm => {
                let own = peepholes.part(0, self.index)?;
                Some([0, 1, 2].map(|at| own.clone().range(0, at * hidden..(at + 1) * hidden)))
            }
            _ => None,
        };
        Ok(Weights { w, r, biases, peepholes, hidden })
    }

    /// The hidden values of every position, `[length, batch, hidden]`, and the last state.
    fn run(
        &self,
        x: &Value,
        mut state: State,
        weights: &Weights,
        cell: Cell,
        lengths: Option<&[usize]>,
    ) -> Outcome<(Value, State)> {
        let length = x.dims()[0];
        let mut fed = product(x, &weights.w)?;
        if let Some((bias, _)) = &weights.biases {
            fed = add(&fed, bias)?;
        }
        let mut rows = vec![None; length];
        for step in 0..length {
            let at = if self.reversed { length - 1 - step } else { step };
            let next = self.step(fed.clone().part(0, at)?, &state, weights, cell)?;
            let mut row = next.h.clone();
            match lengths {
                // Where a sequence has ended the state stays, and the output is 0.
                Some(lengths) if lengths.iter().any(|&own| at >= own) => {
                    let inside = lengths.iter().map(|&own| at < own).collect();
                    let inside = Value::from_bools(inside).reshape(&[lengths.len(), 1])?;
                    let choose = |new: Value, old: &Value| inside.clone().choose(new, old.clone());
                    row = choose(row, &Value::filled(0.0, &state.h.dims())?)?;
                    state = State { h: choose(next.h, &state.h)?, c: choose(next.c, &state.c)? };
                }
                _ => state = next,
            }
            rows[at] = Some(row.with_axis(0)?);
        }
        let rows: Vec<Value> = rows.into_iter().flatten().collect();
        Ok((Value::concat(&rows, 0)?, state))
    }

    /// Activation `which` of the clipped `x`.
    fn activate(&self, which: usize, x: &Value) -> Outcome<Value> {
        let mut tensor = x.float()?;
        if let Some(clip) = self.clip {
            tensor = Dispatch::float_clamp(tensor, Scalar::Float(-clip), Scalar::Float(clip));
        }
        Value::new(self.activations[which](tensor)).reshape(&x.dims())
    }

    fn step(&self, fed: Value, state: &State, weights: &Weights, cell: Cell) -> Outcome<State> {
        let hidden = weights.hidden;
        let gate = |all: &Value, at: usize| all.clone().range(1, at * hidden..(at + 1) * hidden);
        let mut back = product(&state.h, &weights.r)?;
        if let Some((_, bias)) = &weights.biases {
            back = add(&back, bias)?;
        }
        match cell {
            Cell::Plain => {
                let h = self.activate(0, &add(&fed, &back)?)?;
                Ok(State { h, c: state.c.clone() })
            }
            Cell::Gru { resets_late } => {
                let sum = |at: usize| add(&gate(&fed, at), &gate(&back, at));
                let (update, reset) = (self.activate(0, &sum(0)?)?, self.activate(0, &sum(1)?)?);
                let candidate = if resets_late {
                    multiply(&reset, &gate(&back, 2))?
                } else {
                    let own = gate(&weights.r, 2);
                    let back = product(&multiply(&reset, &state.h)?, &own)?;
                    match &weights.biases {
                        Some((_, bias)) => {
                            add(&back, &bias.clone().range(0, 2 * hidden..3 * hidden))?
                        }
                        None => back,
                    }
                };
                let candidate = self.activate(1, &add(&gate(&fed, 2), &candidate)?)?;
                // (1 - update) candidate + update h.
                let change = multiply(&update, &subtract(&state.h, &candidate)?)?;
                Ok(State { h: add(&candidate, &change)?, c: state.c.clone() })
            }
            Cell::Lstm => {
                let sums = add(&fed, &back)?;
                let seen = |at: usize, c: &Value| match &weights.peepholes {
                    Some(peepholes) => add(&gate(&sums, at), &multiply(&peepholes[at], c)?),
                    None => Ok(gate(&sums, at)),
                };
                let input = self.activate(0, &seen(0, &state.c)?)?;
                let forget = match self.couples {
                    true => subtract(&Value::from_floats(vec![1.0]), &input)?,
                    false => self.activate(0, &seen(2, &state.c)?)?,
                };
                let candidate = self.activate(1, &gate(&sums, 3))?;
                let c = add(&multiply(&forget, &state.c)?, &multiply(&input, &candidate)?)?;
                let output = self.activate(0, &seen(1, &c)?)?;
                let h = multiply(&output, &self.unclipped(2, &c)?)?;
                Ok(State { h, c })
            }
        }
    }

    fn unclipped(&self, which: usize, x: &Value) -> Outcome<Value> {
        Value::new(self.activations[which](x.float()?)).reshape(&x.dims())
    }
}
