//! Templates kept by name: [`TemplateFolder`].
//!
//! Each template is a file `NAME.json` or `NAME.yaml`, for its owner only, written whole or not at all. People may
//! edit and copy these files by hand, so everything is read anew each time.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batch_core::text::did_you_mean;
use batch_template::Functions;
use tempfile::NamedTempFile;

use super::param::Param;
use super::saved::SavedTemplate;
use crate::file::Format;
use crate::problem::Problem;

/// The longest name, in bytes, so that the name of the file fits everywhere.
const LONGEST_NAME: usize = 100;

/// The formats of templates, with the extensions of their files.
const FORMATS: [(Format, &str); 2] = [(Format::Json, "json"), (Format::Yaml, "yaml")];

/// A folder of templates. It need not be there before something is saved.
#[derive(Clone, Debug)]
pub struct TemplateFolder {
    path: PathBuf,
    functions: Arc<dyn Functions>,
}

/// A template of the folder.
#[derive(Clone, Debug)]
pub struct TemplateInfo {
    /// The name.
    pub name: String,
    /// What it holds, or all that is wrong with it.
    pub contents: Result<TemplateContents, Vec<Problem>>,
}

/// What a template holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateContents {
    /// What it is for, in the words of its author.
    pub description: Option<String>,
    /// The declared parameters, in the order of the declarations.
    pub params: Vec<Param>,
    /// How many tasks one expansion has.
    pub tasks: usize,
}

/// A template cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveTemplateError {
    /// The name cannot be that of a file everywhere.
    #[error(
        "{name:?} cannot be the name of a template; use up to 100 letters (a to z), digits, \"-\", \"_\" and \".\", with no \".\" at the start"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The text is in a format for lists of tasks.
    #[error("a template is a JSON or YAML file; {name:?} was given in another format")]
    BadFormat {
        /// The name.
        name: String,
    },
    /// There is one of this name.
    #[error(
        "there is a template {name:?} already; put this one in its place with --replace, or take another name"
    )]
    Exists {
        /// The name.
        name: String,
    },
    /// It is no sound template.
    #[error("the template {name:?} is not saved: {}", first_of(problems))]
    Broken {
        /// The name.
        name: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// The file cannot be written.
    #[error("cannot save the template in {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A template cannot be read or removed.
#[derive(Debug, thiserror::Error)]
pub enum OpenTemplateError {
    /// There is none of this name.
    #[error("there is no template {name:?}; {help}")]
    Unknown {
        /// The name.
        name: String,
        /// Which one may be meant.
        help: String,
    },
    /// The file is no sound template.
    #[error("the template {name:?} cannot be used: {}", first_of(problems))]
    Broken {
        /// The name.
        name: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// The file cannot be read or removed.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TemplateFolder {
    /// The folder at a path, with templates of tasks with these functions. Nothing is read or made yet.
    pub fn new(path: impl Into<PathBuf>, functions: Arc<dyn Functions>) -> Self {
        Self {
            path: path.into(),
            functions,
        }
    }

    fn parse(
        &self,
        bytes: &[u8],
        name: &str,
        format: Format,
    ) -> Result<SavedTemplate, Vec<Problem>> {
        SavedTemplate::parse(bytes, name, format, Arc::clone(&self.functions))
    }

    /// Checks a template and keeps it under a name: as a whole, or not at all.
    ///
    /// # Errors
    /// When the name, the format or the template is not sound, when there is one of this name and `replace` is not
    /// set, or when the file cannot be written.
    pub fn save(
        &self,
        name: &str,
        bytes: &[u8],
        format: Format,
        replace: bool,
    ) -> Result<SavedTemplate, SaveTemplateError> {
        let owned = || name.to_owned();
        if !is_template_name(name) {
            return Err(SaveTemplateError::BadName { name: owned() });
        }
        let known = FORMATS.iter().find(|(known, _)| *known == format);
        let Some((_, extension)) = known else {
            return Err(SaveTemplateError::BadFormat { name: owned() });
        };
        let template = self.parse(bytes, name, format).map_err(|problems| {
            let name = owned();
            SaveTemplateError::Broken { name, problems }
        })?;
        if !replace && self.file_of(name).is_some() {
            return Err(SaveTemplateError::Exists { name: owned() });
        }
        match self.write(&self.file(name, extension), bytes, replace) {
            Ok(()) => {}
            Err(error) if !replace && error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(SaveTemplateError::Exists { name: owned() });
            }
            Err(error) => return Err(self.save_error(error)),
        }
        for (_, other) in FORMATS.iter().filter(|(_, other)| other != extension) {
            match fs::remove_file(self.file(name, other)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.save_error(error));
                }
                _ => {}
            }
        }
        Ok(template)
    }

    /// All templates by name, broken ones too. Files that are none by their name are passed over.
    ///
    /// # Errors
    /// When the folder cannot be read. One that is not there is empty.
    pub fn list(&self) -> io::Result<Vec<TemplateInfo>> {
        let names = self.names()?.into_iter();
        Ok(names
            .filter_map(|name| {
                let contents = match self.load(&name) {
                    Ok(template) => Ok(contents_of(&template)),
                    // Removed in the meantime.
                    Err(OpenTemplateError::Unknown { .. }) => return None,
                    Err(OpenTemplateError::Broken { problems, .. }) => Err(problems),
                    Err(error) => Err(vec![unreadable(&name, &error)]),
                };
                Some(TemplateInfo { name, contents })
            })
            .collect())
    }

    /// Reads and checks the template of a name.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it is broken.
    pub fn load(&self, name: &str) -> Result<SavedTemplate, OpenTemplateError> {
        let (path, format, bytes) = self.read(name)?;
        self.parse(&bytes, &path.display().to_string(), format)
            .map_err(|problems| {
                let name = name.to_owned();
                OpenTemplateError::Broken { name, problems }
            })
    }

    /// The text of the template of a name, as it was saved. It may be broken.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read_text(&self, name: &str) -> Result<String, OpenTemplateError> {
        let (_, _, bytes) = self.read(name)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes the template of a name.
    ///
    /// # Errors
    /// When there is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), OpenTemplateError> {
        if self.file_of(name).is_none() {
            return Err(self.unknown(name));
        }
        // Both, should a replacement have been cut off: else the older one would come back.
        for (_, extension) in FORMATS {
            let path = self.file(name, extension);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenTemplateError::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.path.join(format!("{name}.{extension}"))
    }

    /// The file of a template. Where a replacement in the other format was cut off there are two, and the newer
    /// one counts.
    fn file_of(&self, name: &str) -> Option<(PathBuf, Format)> {
        if !is_template_name(name) {
            return None;
        }
        let files = FORMATS.iter().filter_map(|(format, extension)| {
            let path = self.file(name, extension);
            let metadata = path.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok(), path, *format))
        });
        let newest = files.max_by_key(|(modified, ..)| *modified);
        newest.map(|(_, path, format)| (path, format))
    }

    fn read(&self, name: &str) -> Result<(PathBuf, Format, Vec<u8>), OpenTemplateError> {
        let (path, format) = self.file_of(name).ok_or_else(|| self.unknown(name))?;
        match fs::read(&path) {
            Ok(bytes) => Ok((path, format, bytes)),
            Err(source) => Err(OpenTemplateError::Io { path, source }),
        }
    }

    /// The names of all templates, in order.
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let known = FORMATS.iter().any(|(_, known)| Some(*known) == extension);
            let name = path.file_stem().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| known && is_template_name(name)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn unknown(&self, name: &str) -> OpenTemplateError {
        let names = self.names().unwrap_or_default();
        let help = match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(near) => near,
            None if names.is_empty() => "none is saved yet".to_owned(),
            None => format!("the templates are {}", names.join(", ")),
        };
        let name = name.to_owned();
        OpenTemplateError::Unknown { name, help }
    }

    /// Writes a file beside its place and renames it.
    fn write(&self, path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
        private_folder(&self.path)?;
        // Its files are for their owner only.
        let file = loop {
            let file = NamedTempFile::new_in(&self.path)?;
            // By this it is told from one whose writer was killed. Who looks for such may have been faster.
            let _ = file.as_file().lock();
            if file.path().exists() {
                break file;
            }
        };
        // RestoredTask `tempfile`, whose errors would name this file.
        file.as_file().write_all(bytes)?;
        file.as_file().sync_all()?;
        let renamed = match replace {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        renamed.map_err(|error| error.error)?;
        // Makes the rename last. Where a folder cannot be synced, it was renamed all the same.
        if let Ok(folder) = fs::File::open(&self.path) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    fn save_error(&self, source: io::Error) -> SaveTemplateError {
        let path = self.path.clone();
        SaveTemplateError::Io { path, source }
    }
}

fn is_template_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with('.')
        && name.chars().all(is_allowed)
}

/// Makes the folder, for its owner only, if it is not there.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn contents_of(template: &SavedTemplate) -> TemplateContents {
    TemplateContents {
        description: template.description().map(str::to_owned),
        params: template.params().to_vec(),
        tasks: template.task_count(),
    }
}

fn unreadable(name: &str, error: &OpenTemplateError) -> Problem {
    Problem {
        file: name.into(),
        line: 0,
        column: None,
        task: None,
        field: String::new(),
        message: error.to_string(),
        help: None,
    }
}

fn first_of(problems: &[Problem]) -> String {
    match problems {
        [] => String::new(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}
