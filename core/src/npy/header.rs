//! The header of NumPy's file format: a Python dictionary in one line of text.
//!
//! Source: `numpy.lib.format`, versions 1.0 to 3.0. Files come from anywhere, so nothing here recurses, allocates by
//! a number from the file, or multiplies without a check.

/// Axes that NumPy allows an array to have.
pub(super) const MOST_AXES: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The element type, such as `<f4`; a structured type as it is written, from `[` to `]`.
    pub(super) dtype: String,
    /// Whether the first axis runs fastest.
    pub(super) fortran_order: bool,
    /// The length of each axis.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary; `Err` says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Header, String> {
        let mut reader = Reader { rest: text };
        let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
        reader.expect('{')?;
        while !reader.eat('}') {
            let key = reader.quoted()?;
            reader.expect(':')?;
            match key {
                "descr" => dtype = Some(reader.dtype()?.to_owned()),
                "fortran_order" => fortran_order = Some(reader.truth()?),
                "shape" => shape = Some(reader.tuple()?),
                other => return Err(format!("it has an unknown key '{other}'")),
            }
            if !reader.eat(',') && !reader.rest.starts_with('}') {
                return Err(reader.unexpected("',' or '}'"));
            }
        }
        if !reader.rest.trim().is_empty() {
            return Err(reader.unexpected("its end"));
        }
        let missing = |key: &str| format!("it has no key '{key}'");
        Ok(Header {
            dtype: dtype.ok_or_else(|| missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }

    /// The dictionary as text, as NumPy writes it.
    pub(super) fn to_text(&self) -> String {
        let axes: String = self.shape.iter().map(|axis| format!("{axis}, ")).collect();
        // A tuple of one keeps its comma, all others end without.
        let axes = match self.shape.len() {
            1 => axes.trim_end(),
            _ => axes.trim_end_matches(", "),
        };
        let order = if self.fortran_order { "True" } else { "False" };
        format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': ({axes}), }}", self.dtype)
    }
}

/// What is left of the text; each method steps over the blanks that follow what it takes.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, wanted: char) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(wanted) else {
            return false;
        };
        self.rest = rest.trim_start();
        true
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        match self.eat(wanted) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("'{wanted}'"))),
        }
    }

    fn quoted(&mut self) -> Result<&'a str, String> {
        for quote in ['\'', '"'] {
            if let Some((text, rest)) =
                self.rest.strip_prefix(quote).and_then(|inner| inner.split_once(quote))
            {
                self.rest = rest.trim_start();
                return Ok(text);
            }
        }
        Err(self.unexpected("a quoted word"))
    }

    /// A type's name, or the list that describes a structured type, unread.
    fn dtype(&mut self) -> Result<&'a str, String> {
        if !self.rest.starts_with('[') {
            return self.quoted();
        }
        let mut depth = 0usize;
        for (at, character) in self.rest.char_indices() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let (list, rest) = self.rest.split_at(at + 1);
                self.rest = rest.trim_start();
                return Ok(list);
            }
        }
        Err(self.unexpected("a type"))
    }

    fn truth(&mut self) -> Result<bool, String> {
        for (word, truth) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest.trim_start();
                return Ok(truth);
            }
        }
        Err(self.unexpected("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut axes = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            if axes.len() == MOST_AXES {
                return Err(format!("its shape has more than {MOST_AXES} axes"));
            }
            axes.push(self.number()?);
            if !self.eat(',') && !self.rest.starts_with(')') {
                return Err(self.unexpected("',' or ')'"));
            }
        }
        Ok(axes)
    }

    fn number(&mut self) -> Result<usize, String> {
        let end = self
            .rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Err(self.unexpected("the length of an axis"));
        }
        let number = digits
            .parse()
            .map_err(|_| format!("its shape has an axis of {digits}, which no memory holds"))?;
        // Python 2 wrote long integers with an L.
        self.rest = rest.strip_prefix('L').unwrap_or(rest).trim_start();
        Ok(number)
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(20).collect();
        match found.trim().is_empty() {
            true => format!("it ends where {wanted} should come"),
            false => format!("it has \"{}\" where {wanted} should come", found.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read() {
        let cases: [(&str, &str, bool, &[usize]); 5] = [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 224, 224), }   \n",
                "<f4",
                false,
                &[1, 3, 224, 224],
            ),
            ("{'descr': '|u1', 'fortran_order': True, 'shape': (5,), }\n", "|u1", true, &[5]),
            ("{'shape': (), 'fortran_order': False, 'descr': '>f8'}", ">f8", false, &[]),
            (
                "{ \"descr\" : \"<i8\", 'fortran_order':False,'shape':(2L,3L)}",
                "<i8",
                false,
                &[2, 3],
            ),
            (
                "{'descr': [('a', '<f4'), ('b', [('c', '<i2')])], 'fortran_order': False, 'shape': (0,), }",
                "[('a', '<f4'), ('b', [('c', '<i2')])]",
                false,
                &[0],
            ),
        ];
        for (text, dtype, fortran_order, shape) in cases {
            let expected = Header { dtype: dtype.to_owned(), fortran_order, shape: shape.to_vec() };
            assert_eq!(Header::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![7], vec![1, 3, 5, 5]] {
            let header = Header { dtype: "<f4".to_owned(), fortran_order: false, shape };
            let text = header.to_text();
            assert_eq!(Header::parse(&text), Ok(header), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("", "it ends where '{' should come"),
            ("[1]", "it has \"[1]\" where '{' should come"),
            ("{'descr': '<f4'", "it ends where ',' or '}' should come"),
            ("{'descr': '<f4'}", "it has no key 'fortran_order'"),
            ("{'colour': 1}", "it has an unknown key 'colour'"),
            ("{'fortran_order': 1}", "it has \"1}\" where True or False should come"),
            ("{'shape': (-1,)}", "it has \"-1,)}\" where the length of an axis should come"),
            ("{'shape': 5}", "it has \"5}\" where '(' should come"),
            (
                "{'shape': (99999999999999999999,)}",
                "its shape has an axis of 99999999999999999999, which no memory holds",
            ),
            ("{'descr': [[[[", "it has \"[[[[\" where a type should come"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} {",
                "it has \"{\" where its end should come",
            ),
        ];
        for (text, problem) in cases {
            assert_eq!(Header::parse(text), Err(problem.to_owned()), "{text}");
        }
        let many = format!("{{'shape': ({})}}", "1,".repeat(65));
        assert_eq!(Header::parse(&many), Err("its shape has more than 64 axes".to_owned()));
    }
}
