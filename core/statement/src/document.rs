//! Any statement in a file: ours as TOML or JSON, an import saved as JSON, or a publisher's page.

use crate::{ImportedStatement, OwnError, Part, Statement, import};

/// A statement, ours or a publisher's claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// In our own format: checked, with field codes.
    Own(Statement),
    /// Read from a publisher's page.
    Imported(ImportedStatement),
}

impl Document {
    /// Reads a file. `name` is named in errors and tells nothing of the format.
    ///
    /// Our TOML is known by its `owner` or `[[entry]]` lines, our JSON by `accord_statement`; all else is
    /// read as a page, which never fails.
    ///
    /// # Errors
    /// [`OwnError`] when the file is ours and holds a mistake.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, OwnError> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Self::Imported(import(bytes))) };
        let start = text.trim_start_matches('\u{feff}').trim_start();
        if start.starts_with('{') && start.contains("\"accord_statement\"") {
            return serde_json::from_str(start)
                .map(Self::Own)
                .map_err(|error| OwnError::Syntax { file: name.to_owned(), message: error.to_string() });
        }
        let ours = |line: &str| {
            let line = line.trim();
            line == "[[entry]]" || line.starts_with("owner = \"") || line == "[statement]"
        };
        if text.lines().any(|line| line.trim() == "[[entry]]") || text.lines().take(40).any(ours) {
            return Ok(Self::Own(Part::parse(name, text)?.into_statement()?));
        }
        Ok(Self::Imported(import(bytes)))
    }

    /// The title, for headings.
    pub fn title(&self) -> &str {
        match self {
            Self::Own(statement) => &statement.title,
            Self::Imported(statement) => statement.title.as_deref().unwrap_or("Statement without a title"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content() {
        assert!(matches!(Document::read("a", crate::EXAMPLE.as_bytes()), Ok(Document::Own(_))));
        assert!(matches!(Document::read("a", b"Third party name: X"), Ok(Document::Imported(_))));
        assert!(Document::read("a", b"owner = \"x\"\n[[entry]]\nkee = 1").is_err());
        let statement = Part::parse("a", crate::EXAMPLE).unwrap().into_statement().unwrap();
        let json = serde_json::to_vec(&statement).unwrap();
        assert_eq!(Document::read("a", &json).unwrap(), Document::Own(statement));
        let imported = import(b"Lebocast\nThird party name: X\nShared data: TV name and type");
        let json = serde_json::to_vec_pretty(&imported).unwrap();
        assert_eq!(Document::read("a", &json).unwrap(), Document::Imported(imported));
    }
}
