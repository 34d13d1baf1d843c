//! `--paper`: the options and inputs of a table of a paper.

use std::path::{Path, PathBuf};

use attriburn_evaluate::{RequiredFile, Table};
use attriburn_picture::npy;

use super::job::OUT;
use crate::args::EvaluateArgs;
use crate::setup::inputs::find_sources;
use crate::setup::source::Source;

/// The options and inputs of one evaluation.
pub struct EvaluationRun {
    pub args: EvaluateArgs,
    pub sources: Vec<Source>,
}

/// Returns the evaluations of a table, one per model. With several models, the results of each go to a folder
/// with the model's name.
///
/// # Errors
///
/// When there is no such table, an option sets what the table sweeps, or files are missing. The message names
/// all missing files.
pub fn runs(name: &str, args: &EvaluateArgs) -> Result<Vec<EvaluationRun>, String> {
    let table = Table::named(name).ok_or_else(|| format!("there is no table {name:?}"))?;
    let folder = args.data.clone().unwrap_or_default();
    let missing: Vec<String> = table
        .data
        .required_files()
        .filter(|needed| !folder.join(&needed.file).exists())
        .map(|needed| format!("{} ({})", needed.file, needed.description))
        .collect();
    if !missing.is_empty() {
        return Err(format!("the folder {} lacks {}", folder.display(), missing.join(", ")));
    }
    let run = |model: &RequiredFile| {
        let mut run_args = args_of_table(table, args, &folder)?;
        run_args.model.model = Some(folder.join(&model.file));
        if table.data.models.len() > 1 {
            let out = args.output.out.clone().unwrap_or_else(|| OUT.into());
            run_args.output.out = Some(out.join(Path::new(&model.file).with_extension("")));
        }
        let sources = match (&table.data.digits, &table.data.pictures) {
            (Some(digits), _) => read_digits(&folder.join(&digits.file))?,
            (None, Some(pictures)) => find_sources(&[folder.join(&pictures.file)], None)?,
            (None, None) => Vec::new(),
        };
        Ok(EvaluationRun { args: run_args, sources })
    };
    table.data.models.iter().map(run).collect()
}

/// Returns the options with the settings and the data of the table.
fn args_of_table(
    table: &Table,
    args: &EvaluateArgs,
    folder: &Path,
) -> Result<EvaluateArgs, String> {
    let mut filled = args.clone();
    filled.metrics = table.metrics.clone();
    filled.plan.method.method = table.methods.clone();
    filled.sweep = table.sweeps.clone();
    let swept = || table.sweeps.iter().flat_map(|sweep| sweep.all());
    if let Some(option) = swept().find(|name| args.options.is_set(name)) {
        let name = &table.name;
        return Err(format!("--{option} cannot be set: the table {name} sweeps it; leave it out"));
    }
    filled.images.repeats = args.images.repeats.or(Some(table.repeats));
    let data = &table.data;
    let path = |needed: &Option<RequiredFile>| -> Option<PathBuf> {
        needed.as_ref().map(|needed| folder.join(&needed.file))
    };
    filled.shuffled_model = path(&data.shuffled_model);
    filled.shifted_model = path(&data.shifted_model);
    filled.shift = data.shift;
    filled.other_model = path(&data.other_model);
    filled.boxes = path(&data.boxes);
    let preprocess = &mut filled.model.with.preprocess;
    preprocess.domain = preprocess.domain.take().or(data.domain.map(|bounds| bounds.to_vec()));
    preprocess.preprocess = preprocess.preprocess.take().or_else(|| data.preprocess.clone());
    Ok(filled)
}

/// Reads the digits as rows of pixels in `[0, 1]`.
fn read_digits(path: &Path) -> Result<Vec<Source>, String> {
    let array = npy::read(path).map_err(|error| error.to_string())?;
    let &[_, height @ 28, width @ 28] = &array.shape[..] else {
        return Err(format!(
            "{} holds an array of shape {:?}, not [n, 28, 28]",
            path.display(),
            array.shape
        ));
    };
    let largest = array.values.iter().copied().fold(0.0, f32::max);
    if largest <= 1.0 || array.values.iter().any(|value| !(0.0..=255.0).contains(value)) {
        return Err(format!("{} holds no digits: pixels must be from 0 to 255", path.display()));
    }
    let row = |(i, row): (usize, &[f32])| {
        Source::row(format!("digit-{i}"), row.iter().map(|value| value / 255.0).collect())
    };
    Ok(array.values.chunks((height * width).max(1)).enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn runs_names_missing_files_and_swept_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut args = EvaluateArgs::parse_from(["evaluate"]);
        args.data = Some(folder.path().to_owned());
        for table in Table::all() {
            let message = runs(&table.name, &args).map(drop).expect_err(&table.name);
            for RequiredFile { file, description } in table.data.required_files() {
                assert!(message.contains(&format!("{file} ({description})")), "{message}");
            }
        }
        args.options.values.insert("confidence".into(), vec!["0.9".into()]);
        let table = Table::named("adaptgrad-table6").expect("a table");
        let message =
            args_of_table(table, &args, folder.path()).map(drop).expect_err("a swept setting");
        assert_eq!(
            message,
            "--confidence cannot be set: the table adaptgrad-table6 sweeps it; leave it out"
        );
    }
}
