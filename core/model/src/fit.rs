//! Whether data is what a property holds.

use crate::{Data, Format, Property};

/// Why data is not what a property holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{property}` {wants}")]
pub struct Unfit {
    property: String,
    wants: String,
}

impl Property {
    /// `data` in this property's format and within its limits. JSON has one kind of number and one empty list, so a whole
    /// number becomes a real one where the property holds those, and the reverse where nothing is lost.
    ///
    /// ```
    /// use accord_model::{Data, Format, Property};
    /// let level = Property::state("level", Format::Int).range(0.0, 100.0, 1.0);
    /// assert_eq!(level.fit(Data::Float(30.0)), Ok(Data::Int(30)));
    /// assert!(level.fit(Data::Int(101)).is_err());
    /// ```
    ///
    /// # Errors
    /// [`Unfit`]: what the property wants.
    pub fn fit(&self, data: Data) -> Result<Data, Unfit> {
        let unfit = |wants: String| Unfit { property: crate::text::for_screen(&self.id, 60), wants };
        let data = match (self.format, data) {
            (Format::Bool, data @ Data::Bool(_)) => data,
            (Format::Int | Format::Enum, data @ Data::Int(_)) => data,
            (Format::Int | Format::Enum, Data::Float(number)) if is_whole(number) => Data::Int(number as i64),
            (Format::Float, Data::Int(number)) => Data::Float(number as f64),
            (Format::Float, Data::Float(number)) if number.is_finite() => Data::Float(number),
            (Format::Text, data @ Data::Text(_)) => data,
            (Format::Texts, data @ Data::Texts(_)) => data,
            (Format::Bytes, data @ Data::Bytes(_)) => data,
            (Format::Bytes, Data::Texts(texts)) if texts.is_empty() => Data::Bytes(Vec::new()),
            (format, _) => return Err(unfit(format!("is {}", format.name()))),
        };
        if let (Some(range), Some(number)) = (&self.range, data.as_number())
            && !(range.min..=range.max).contains(&number)
        {
            return Err(unfit(format!("is between {} and {}", range.min, range.max)));
        }
        if self.format == Format::Enum
            && !self.values.is_empty()
            && !self.values.iter().any(|(value, _)| Some(*value) == data.as_int())
        {
            let known: Vec<String> = self.values.iter().map(|(value, name)| format!("{value} ({name})")).collect();
            return Err(unfit(format!("is one of {}", crate::text::for_screen(&known.join(", "), 300))));
        }
        Ok(data)
    }
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Enum => "the number of one of its values",
            Self::Bytes => "bytes",
        }
    }
}

fn is_whole(number: f64) -> bool {
    // 2^53: beyond it a real number no longer tells neighbouring whole numbers apart.
    number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_property_holds_fits() {
        let of = |format| Property::state("x", format);
        assert_eq!(of(Format::Float).fit(Data::Int(3)), Ok(Data::Float(3.0)));
        assert_eq!(of(Format::Bytes).fit(Data::Texts(vec![])), Ok(Data::Bytes(vec![])));
        for (format, data) in [
            (Format::Bool, Data::Int(1)),
            (Format::Int, Data::Float(0.5)),
            (Format::Int, Data::Float(1e300)),
            (Format::Float, Data::Float(f64::NAN)),
            (Format::Text, Data::Texts(vec![])),
            (Format::Bytes, Data::Text("x".into())),
        ] {
            assert!(of(format).fit(data.clone()).is_err(), "{format:?} {data:?}");
        }
        let mut mode = of(Format::Enum);
        mode.values = vec![(0, "day".into()), (1, "night".into())];
        assert!(mode.fit(Data::Int(1)).is_ok() && mode.fit(Data::Int(2)).is_err());
    }
}
