//! The attributes of a node. Each attribute records whether it was read, because an attribute that the
//! importer does not read could change the result of the node.

use std::cell::Cell;
use std::rc::Rc;

use onnx_ir::{AttributeProto, AttributeType};

use crate::file::{Folder, Stored};
use crate::value::Outcome;

/// The attributes of a node, by name.
#[derive(Clone, Default)]
pub struct Attributes {
    all: Vec<Attribute>,
}

#[derive(Clone)]
struct Attribute {
    name: String,
    content: Content,
    read: Cell<bool>,
}

#[derive(Clone)]
enum Content {
    Int(i64),
    Float(f32),
    Text(String),
    Texts(Vec<String>),
    Tensor(Result<Rc<Stored>, String>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Other,
}

impl Attributes {
    /// Reads the attributes in `protos`, except subgraphs, which become the node's blocks.
    pub fn new<'a>(protos: impl Iterator<Item = &'a AttributeProto>, folder: &mut Folder) -> Self {
        let all =
            protos.filter(|proto| kind(proto) != AttributeType::GRAPH).map(|proto| Attribute {
                name: proto.name.clone(),
                content: Content::new(proto, folder),
                read: Cell::new(false),
            });
        Self { all: all.collect() }
    }

    /// Returns integer attributes for a node that a pass creates.
    pub fn integers(ints: &[(&str, i64)]) -> Self {
        let all = ints.iter().map(|&(name, value)| Attribute {
            name: name.into(),
            content: Content::Int(value),
            read: Cell::new(false),
        });
        Self { all: all.collect() }
    }

    /// Returns one attribute, a list of integers, for a node that a pass creates.
    pub fn int_list(name: &str, values: &[i64]) -> Self {
        let content = Content::Ints(values.to_vec());
        Self { all: vec![Attribute { name: name.into(), content, read: Cell::new(false) }] }
    }

    /// Returns a copy for a node that replaces this node. All attributes here count as read; the replacement
    /// must read those that were not read so far.
    pub fn hand_on(&self) -> Self {
        let copy = self.clone();
        self.all.iter().for_each(|attribute| attribute.read.set(true));
        copy
    }

    /// Returns the value of an attribute and marks the attribute as read.
    fn find(&self, name: &str) -> Option<&Content> {
        let found = self.all.iter().find(|attribute| attribute.name == name)?;
        found.read.set(true);
        Some(&found.content)
    }

    /// Returns the names of the attributes that were never read.
    pub fn unread(&self) -> Vec<&str> {
        let unread = self.all.iter().filter(|attribute| !attribute.read.get());
        unread.map(|attribute| attribute.name.as_str()).collect()
    }

    /// Returns an integer attribute.
    pub fn int(&self, name: &str) -> Outcome<Option<i64>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(type_error(name, "an integer")),
        }
    }

    /// Returns a float attribute.
    pub fn float(&self, name: &str) -> Outcome<Option<f64>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Float(value)) => Ok(Some(f64::from(*value))),
            Some(_) => Err(type_error(name, "a float")),
        }
    }

    /// Returns a string attribute.
    pub fn text(&self, name: &str) -> Outcome<Option<&str>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Text(value)) => Ok(Some(value)),
            Some(_) => Err(type_error(name, "a string")),
        }
    }

    /// Returns a string list attribute.
    pub fn texts(&self, name: &str) -> Outcome<Option<Vec<String>>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Texts(values)) => Ok(Some(values.clone())),
            Some(_) => Err(type_error(name, "a list of strings")),
        }
    }

    /// Returns an integer list attribute.
    pub fn ints(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Ints(values)) => Ok(Some(values.clone())),
            Some(_) => Err(type_error(name, "a list of integers")),
        }
    }

    /// Returns a float list attribute.
    pub fn floats(&self, name: &str) -> Outcome<Option<Vec<f32>>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Floats(values)) => Ok(Some(values.clone())),
            Some(_) => Err(type_error(name, "a list of floats")),
        }
    }

    /// Returns a tensor attribute.
    pub fn tensor(&self, name: &str) -> Outcome<Option<Rc<Stored>>> {
        match self.find(name) {
            None => Ok(None),
            Some(Content::Tensor(tensor)) => tensor.clone().map(Some),
            Some(_) => Err(type_error(name, "a tensor")),
        }
    }

    /// Marks attributes as read that have no effect in this importer.
    pub fn ignore(&self, names: &[&str]) {
        names.iter().for_each(|name| {
            self.find(name);
        });
    }
}

impl Content {
    fn new(proto: &AttributeProto, folder: &mut Folder) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match kind(proto) {
            AttributeType::INT => Self::Int(proto.i),
            AttributeType::FLOAT => Self::Float(proto.f),
            AttributeType::STRING => Self::Text(text(&proto.s)),
            AttributeType::STRINGS => {
                Self::Texts(proto.strings.iter().map(|bytes| text(bytes)).collect())
            }
            AttributeType::INTS => Self::Ints(proto.ints.clone()),
            AttributeType::FLOATS => Self::Floats(proto.floats.clone()),
            AttributeType::TENSOR => {
                Self::Tensor(Stored::new(proto.t.get_or_default(), folder).map(Rc::new))
            }
            _ => Self::Other,
        }
    }
}

/// Returns the type of an attribute. Old files omit the type; it then follows from the field that is set.
pub fn kind(proto: &AttributeProto) -> AttributeType {
    match proto.type_.enum_value_or_default() {
        AttributeType::UNDEFINED if proto.t.is_some() => AttributeType::TENSOR,
        AttributeType::UNDEFINED if proto.g.is_some() => AttributeType::GRAPH,
        AttributeType::UNDEFINED if !proto.ints.is_empty() => AttributeType::INTS,
        AttributeType::UNDEFINED if !proto.floats.is_empty() => AttributeType::FLOATS,
        AttributeType::UNDEFINED if !proto.strings.is_empty() => AttributeType::STRINGS,
        AttributeType::UNDEFINED if !proto.s.is_empty() => AttributeType::STRING,
        AttributeType::UNDEFINED if proto.f != 0.0 => AttributeType::FLOAT,
        AttributeType::UNDEFINED => AttributeType::INT,
        known => known,
    }
}

fn type_error(name: &str, expected: &str) -> String {
    format!("its attribute {name} is not {expected}")
}
