//! Recurrent layers (RNN, GRU, LSTM), unrolled over the time steps.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, Scalar};

use super::activation::{Activation, activation_by_name};
use super::arithmetic::{add, multiply, subtract};
use super::linear::{matmul, maybe_transpose};
use super::{Inputs, Operator, Run, Site, size};
use crate::value::{Outcome, Value};

pub const OPERATORS: &[Operator] = &[
    Operator::new("RNN", 7, (3, 6), |site| layer(site, Cell::Plain))
        .outputs(2)
        .settings(&[4])
        .multiplies(),
    Operator::new("GRU", 7, (3, 6), |site| {
        layer(site, Cell::Gru { linear_before_reset: site.flag("linear_before_reset", false)? })
    })
    .outputs(2)
    .settings(&[4])
    .multiplies(),
    Operator::new("LSTM", 7, (3, 8), |site| layer(site, Cell::Lstm))
        .outputs(3)
        .settings(&[4])
        .multiplies(),
];

/// The cell of a recurrent layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Plain,
    /// `linear_before_reset`: the reset gate is applied after the product with the recurrent weights.
    Gru {
        linear_before_reset: bool,
    },
    Lstm,
}

impl Cell {
    /// Returns the number of gates.
    fn gates(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Gru { .. } => 3,
            Self::Lstm => 4,
        }
    }

    /// Returns the default activations of one direction.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gru { .. } => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// The settings of one direction of a layer.
struct Direction {
    /// The index of the direction in the weights and outputs.
    index: usize,
    reversed: bool,
    activations: Vec<Activation>,
    clip: Option<f64>,
    /// Whether the forget gate of an LSTM is `1 - input gate`.
    couples_gates: bool,
}

/// The weights of one direction.
struct Weights {
    /// Input weights, `[inputs, gates * hidden]`.
    w: Value,
    /// Recurrent weights, `[hidden, gates * hidden]`.
    r: Value,
    /// Input and recurrent biases, `[gates * hidden]` each.
    biases: Option<(Value, Value)>,
    /// Peephole weights of an LSTM for the input, output and forget gate, `[hidden]` each.
    peepholes: Option<[Value; 3]>,
    /// The hidden size.
    hidden: usize,
}

/// The recurrent state. Only an LSTM uses the cell state `c`.
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
        other => return Err(format!("direction {other:?} is not supported")),
    };
    let names = site.node.attributes.texts("activations")?;
    let defaults = cell.activations();
    let names = names.unwrap_or_else(|| {
        reversed.iter().flat_map(|_| defaults.iter().map(|&name| name.to_owned())).collect()
    });
    if names.len() != defaults.len() * reversed.len() {
        return Err(format!(
            "activations {names:?} must name {} activations per direction",
            defaults.len()
        ));
    }
    let clip = site.node.attributes.float("clip")?;
    let couples_gates = cell == Cell::Lstm && site.flag("input_forget", false)?;
    // The hidden size follows from the shape of the weights.
    site.ignore(&["hidden_size"]);
    let batch_first = site.opset() >= 14 && site.flag("layout", false)?;
    let directions = reversed.iter().zip(names.chunks(defaults.len())).enumerate();
    let directions = directions.map(|(index, (&reversed, names))| {
        let activations =
            names.iter().map(|name| activation_by_name(name, &[])).collect::<Outcome<_>>()?;
        Ok(Direction { index, reversed, activations, clip, couples_gates })
    });
    let directions = directions.collect::<Outcome<Vec<_>>>()?;
    Ok(Box::new(move |inputs| {
        let turn = |x: Value| if batch_first { x.permute(&[1, 0, 2]) } else { Ok(x) };
        let x = turn(inputs.value(0)?)?;
        let [length, batch, _] = x.dims()[..] else {
            return Err(format!("expected an input of rank 3, got shape {:?}", x.dims()));
        };
        if inputs.value(1)?.dims().first() != Some(&directions.len()) {
            return Err(format!(
                "the first axis of the weights must have size {}, the number of directions",
                directions.len()
            ));
        }
        let lengths = match inputs.optional(4) {
            Some(lengths) => {
                Some(lengths.ints()?.into_iter().map(size).collect::<Outcome<Vec<_>>>()?)
            }
            None => None,
        };
        if lengths.as_ref().is_some_and(|all| {
            all.len() != batch || all.iter().any(|&row_length| row_length > length)
        }) {
            return Err(format!(
                "sequence_lens {lengths:?} does not match {batch} sequences of length {length}"
            ));
        }
        let (mut rows, mut last) = (Vec::new(), Vec::new());
        for direction in &directions {
            let weights = direction.weights(inputs, cell)?;
            let start = |index: usize| match inputs.optional(index) {
                Some(start) => turn(start)?.index_axis(0, direction.index),
                None => Value::filled(0.0, &[batch, weights.hidden]),
            };
            let c = if cell == Cell::Lstm {
                start(6)?
            } else {
                Value::filled(0.0, &[batch, weights.hidden])?
            };
            let state = State { h: start(5)?, c };
            let (row, end) = direction.run(&x, state, &weights, cell, lengths.as_deref())?;
            rows.push(row);
            last.push(end);
        }
        let stacked = |values: Vec<Value>, axis: usize| {
            let expanded = values.into_iter().map(|value| value.insert_axis(axis));
            Value::concat(&expanded.collect::<Outcome<Vec<_>>>()?, axis)
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
    /// Returns the weights of this direction from the inputs of the node.
    fn weights(&self, inputs: &Inputs, cell: Cell) -> Outcome<Weights> {
        let weight =
            |index: usize| maybe_transpose(inputs.value(index)?.index_axis(0, self.index)?, true);
        let (w, r) = (weight(1)?, weight(2)?);
        let hidden = r.dims()[0];
        let gates_size = cell.gates() * hidden;
        if w.dims()[1] != gates_size || r.dims()[1] != gates_size {
            return Err(format!(
                "the shapes of the weights do not match a hidden size of {hidden}"
            ));
        }
        let biases = match inputs.optional(3) {
            Some(biases) => {
                let biases = biases.index_axis(0, self.index)?;
                Some((
                    biases.clone().range(0, 0..gates_size),
                    biases.range(0, gates_size..2 * gates_size),
                ))
            }
            None => None,
        };
        let peepholes = match inputs.optional(7) {
            Some(peepholes) if cell == Cell::Lstm => {
                let peephole_row = peepholes.index_axis(0, self.index)?;
                Some(
                    [0, 1, 2]
                        .map(|at| peephole_row.clone().range(0, at * hidden..(at + 1) * hidden)),
                )
            }
            _ => None,
        };
        Ok(Weights { w, r, biases, peepholes, hidden })
    }

    /// Returns the hidden states of all time steps, `[length, batch, hidden]`, and the final state.
    fn run(
        &self,
        x: &Value,
        mut state: State,
        weights: &Weights,
        cell: Cell,
        lengths: Option<&[usize]>,
    ) -> Outcome<(Value, State)> {
        let length = x.dims()[0];
        let mut input_product = matmul(x, &weights.w)?;
        if let Some((bias, _)) = &weights.biases {
            input_product = add(&input_product, bias)?;
        }
        let mut rows = vec![None; length];
        for step in 0..length {
            let at = if self.reversed { length - 1 - step } else { step };
            let next =
                self.step(input_product.clone().index_axis(0, at)?, &state, weights, cell)?;
            let mut row = next.h.clone();
            match lengths {
                // After the end of a sequence its state stays unchanged and its output is 0.
                Some(lengths) if lengths.iter().any(|&row_length| at >= row_length) => {
                    let inside = lengths.iter().map(|&row_length| at < row_length).collect();
                    let inside = Value::from_bools(inside).reshape(&[lengths.len(), 1])?;
                    let choose = |new: Value, old: &Value| inside.clone().choose(new, old.clone());
                    row = choose(row, &Value::filled(0.0, &state.h.dims())?)?;
                    state = State { h: choose(next.h, &state.h)?, c: choose(next.c, &state.c)? };
                }
                _ => state = next,
            }
            rows[at] = Some(row.insert_axis(0)?);
        }
        let rows: Vec<Value> = rows.into_iter().flatten().collect();
        Ok((Value::concat(&rows, 0)?, state))
    }

    /// Applies activation number `which` to `x`, clipped if the node has a clip threshold.
    fn activate(&self, which: usize, x: &Value) -> Outcome<Value> {
        let mut tensor = x.float()?;
        if let Some(clip) = self.clip {
            tensor = Dispatch::float_clamp(tensor, Scalar::Float(-clip), Scalar::Float(clip));
        }
        Value::new(self.activations[which](tensor)).reshape(&x.dims())
    }

    /// Computes the next state from the input products of one time step.
    fn step(
        &self,
        input_product: Value,
        state: &State,
        weights: &Weights,
        cell: Cell,
    ) -> Outcome<State> {
        let hidden = weights.hidden;
        let gate = |all: &Value, at: usize| all.clone().range(1, at * hidden..(at + 1) * hidden);
        let mut recurrent_product = matmul(&state.h, &weights.r)?;
        if let Some((_, bias)) = &weights.biases {
            recurrent_product = add(&recurrent_product, bias)?;
        }
        match cell {
            Cell::Plain => {
                let h = self.activate(0, &add(&input_product, &recurrent_product)?)?;
                Ok(State { h, c: state.c.clone() })
            }
            Cell::Gru { linear_before_reset } => {
                let sum = |at: usize| add(&gate(&input_product, at), &gate(&recurrent_product, at));
                let (update, reset) = (self.activate(0, &sum(0)?)?, self.activate(0, &sum(1)?)?);
                let candidate = if linear_before_reset {
                    multiply(&reset, &gate(&recurrent_product, 2))?
                } else {
                    let candidate_weights = gate(&weights.r, 2);
                    let recurrent_product =
                        matmul(&multiply(&reset, &state.h)?, &candidate_weights)?;
                    match &weights.biases {
                        Some((_, bias)) => {
                            add(&recurrent_product, &bias.clone().range(0, 2 * hidden..3 * hidden))?
                        }
                        None => recurrent_product,
                    }
                };
                let candidate = self.activate(1, &add(&gate(&input_product, 2), &candidate)?)?;
                // (1 - update) candidate + update h.
                let change = multiply(&update, &subtract(&state.h, &candidate)?)?;
                Ok(State { h: add(&candidate, &change)?, c: state.c.clone() })
            }
            Cell::Lstm => {
                let sums = add(&input_product, &recurrent_product)?;
                let gate_with_peephole = |at: usize, c: &Value| match &weights.peepholes {
                    Some(peepholes) => add(&gate(&sums, at), &multiply(&peepholes[at], c)?),
                    None => Ok(gate(&sums, at)),
                };
                let input = self.activate(0, &gate_with_peephole(0, &state.c)?)?;
                let forget = match self.couples_gates {
                    true => subtract(&Value::from_floats(vec![1.0]), &input)?,
                    false => self.activate(0, &gate_with_peephole(2, &state.c)?)?,
                };
                let candidate = self.activate(1, &gate(&sums, 3))?;
                let c = add(&multiply(&forget, &state.c)?, &multiply(&input, &candidate)?)?;
                let output = self.activate(0, &gate_with_peephole(1, &c)?)?;
                let h = multiply(&output, &self.activate_unclipped(2, &c)?)?;
                Ok(State { h, c })
            }
        }
    }

    /// Applies activation number `which` to `x` without clipping.
    fn activate_unclipped(&self, which: usize, x: &Value) -> Outcome<Value> {
        Value::new(self.activations[which](x.float()?)).reshape(&x.dims())
    }
}
