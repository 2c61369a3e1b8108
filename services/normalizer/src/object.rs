//! The fields of an object, taken out one after the other, so that what nobody took can be kept.

use std::borrow::Cow;

use prunella_schemas::CowStr;
use prunella_stream::Millis;

use crate::draft::Draft;
use crate::json::{Fields, Json};
use crate::labels::{self, LabelMap};
use crate::{time, words};

/// The fields of an object that are not yet taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<'a>(Fields<'a>);

impl<'a> Object<'a> {
    /// The most bytes of a text that is kept with each of several alerts.
    pub(crate) const SHORT: usize = 256;

    /// The object that a value is; nothing for any other value.
    pub(crate) fn of(json: Json<'a>) -> Option<Self> {
        match json {
            Json::Object(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|json| *json != Json::Null)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.get(name)
    }

    /// An object of one field.
    pub(crate) fn one(name: &'static str, json: Json<'a>) -> Self {
        Self([(Cow::Borrowed(name), json)].into())
    }

    /// Takes a field, whatever it holds.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json<'a>> {
        self.0.remove(name)
    }

    /// Takes the text of a field, whatever it holds.
    pub(crate) fn take_text(&mut self, name: &str) -> CowStr<'a> {
        self.take(name).map(Json::into_text).unwrap_or_default()
    }

    /// Its texts by name.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (CowStr<'a>, CowStr<'a>)> {
        let texts = self.0.iter();
        texts.map(|(name, json)| (CowStr::from(name.clone()), json.clone().into_text()))
    }

    /// Whether a field holds an object.
    pub(crate) fn nests(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Json::Object(_)))
    }

    /// The word at a path (names and positions with dots in between), left in its place. A text on the way that
    /// holds JSON of its own is not looked into.
    pub(crate) fn said(&self, path: &str) -> Option<Cow<'_, str>> {
        // A name may hold dots itself.
        let whole = self.0.contains_key(path);
        let (name, rest) = match path.split_once('.') {
            Some(parts) if !whole => parts,
            _ => (path, ""),
        };
        let steps = rest.split('.').filter(|step| !step.is_empty());
        let found = steps.fold(self.0.get(name), |json, step| match json? {
            Json::Object(fields) => fields.get(step),
            Json::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })?;
        match found {
            Json::Text(text) => Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty()),
            other => other.word().map(Cow::Owned),
        }
    }

    /// Takes a word: a text that is not blank, a number, a boolean. What is none stays.
    pub(crate) fn word(&mut self, name: &str) -> Option<CowStr<'a>> {
        self.0.get(name)?.word()?;
        Some(self.0.remove(name)?.into_text().part(str::trim))
    }

    /// Takes the first of these words that is there; the others stay.
    pub(crate) fn first(&mut self, names: &[&str]) -> Option<CowStr<'a>> {
        names.iter().find_map(|name| self.word(name))
    }

    /// Takes a time, if it can be read as one.
    pub(crate) fn time(&mut self, name: &str) -> Option<Millis> {
        let at = time::parse(&self.said(name).filter(|_| !name.contains('.'))?)?;
        self.0.remove(name);
        Some(at)
    }

    /// Takes a number, if there is one.
    pub(crate) fn number(&mut self, name: &str) -> Option<f64> {
        let number = words::number(&self.said(name)?)?;
        self.0.remove(name);
        Some(number)
    }

    /// Takes the object that a field holds; an empty one if it holds something else, which then stays.
    pub(crate) fn object(&mut self, name: &str) -> Self {
        if !self.nests(name) {
            return Self::default();
        }
        self.0.remove(name).and_then(Self::of).unwrap_or_default()
    }

    /// Takes the list that a field holds.
    pub(crate) fn list(&mut self, name: &str) -> Option<Vec<Json<'a>>> {
        if !matches!(self.0.get(name), Some(Json::List(_))) {
            return None;
        }
        match self.0.remove(name) {
            Some(Json::List(items)) => Some(items),
            _ => None,
        }
    }

    /// Takes labels, in whichever shape; what is none stays.
    pub(crate) fn labels(&mut self, name: &str) -> LabelMap<'a> {
        if self.nests(name) {
            return self.object(name).into_labels();
        }
        let found = self.0.get(name).and_then(labels::from_json);
        if found.is_some() {
            self.0.remove(name);
        }
        found.unwrap_or_default()
    }

    /// All of it as labels.
    pub(crate) fn into_labels(self) -> LabelMap<'a> {
        let fields = self.0.into_iter();
        fields
            .map(|(name, json)| (CowStr::from(name), json.into_text()))
            .collect()
    }

    /// Leaves out what only repeats something else.
    pub(crate) fn forget(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Keeps all that is left as annotations.
    pub(crate) fn keep(self, draft: &mut Draft<'a>) {
        for (name, json) in self.0 {
            draft.keep(name, json.into_text());
        }
    }

    /// The same, under names that begin with where it stood.
    pub(crate) fn keep_as(self, place: &str, draft: &mut Draft<'a>) {
        for (name, json) in self.0 {
            draft.keep(format!("{place}.{name}"), json.into_text());
        }
    }

    /// Keeps all that is left with one of several alerts to which it belongs: all of it with the first, and with
    /// the others only what is short, so that many alerts do not multiply a long text.
    pub(crate) fn share(&self, draft: &mut Draft<'a>, first: bool) {
        for (name, text) in self.texts() {
            if first || text.len() <= Self::SHORT {
                draft.keep(name, text);
            }
        }
    }

    /// A copy without these fields.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.forget(names);
        rest
    }

    /// The same fields, under names that begin with where they stood.
    pub(crate) fn within(self, place: &str) -> Self {
        let fields = self.0.into_iter();
        Self(
            fields
                .map(|(name, json)| (Cow::Owned(format!("{place}.{name}")), json))
                .collect(),
        )
    }

    /// Takes over the fields of another object, unless it has its own.
    pub(crate) fn adopt(&mut self, other: Self) {
        for (name, json) in other.0 {
            self.0.entry(name).or_insert(json);
        }
    }

    /// The object in a text that holds JSON of its own.
    pub(crate) fn nested(text: &str) -> Option<Object<'static>> {
        let json: Json<'_> = serde_json::from_str(text).ok()?;
        Object::of(json.into_static())
    }

    #[cfg(test)]
    pub(crate) fn into_json(self) -> Json<'a> {
        Json::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &'static str) -> Object<'static> {
        Object::of(serde_json::from_str(json).unwrap()).unwrap()
    }

    fn left(object: Object<'_>) -> String {
        object.into_json().text()
    }

    #[test]
    fn what_is_understood_is_taken_and_what_is_not_stays() {
        let mut fields = object(
            r#"{"a": " x ", "blank": " ", "time": "2024-02-01T00:00:00Z", "late": "soon", "n": "7 %", "m": "seven"}"#,
        );
        assert_eq!(fields.word("a").as_deref(), Some("x"));
        assert_eq!(fields.word("blank"), None);
        assert_eq!(fields.time("time"), Some(1_706_745_600_000));
        assert_eq!(fields.time("late"), None);
        assert_eq!(fields.number("n"), Some(7.0));
        assert_eq!(fields.number("m"), None);
        assert_eq!(left(fields), r#"{"blank":" ","late":"soon","m":"seven"}"#);
    }

    #[test]
    fn a_path_looks_into_objects_and_lists_and_takes_nothing() {
        let fields = object(r#"{"a": [{"b": 7}], "c": {"d": "x"}}"#);
        assert_eq!(fields.said("a.0.b").as_deref(), Some("7"));
        assert_eq!(fields.said("c.d").as_deref(), Some("x"));
        assert_eq!(fields.said("a.b"), None);
        assert_eq!(fields.said("c"), None);
    }

    #[test]
    fn an_object_and_a_list_are_taken_only_if_they_are_that() {
        let mut fields = object(r#"{"a": {"b": 1}, "c": [1], "d": 7}"#);
        assert!(fields.object("d").is_empty());
        assert_eq!(fields.list("a"), None);
        assert!(!fields.object("a").is_empty());
        assert_eq!(fields.list("c").map(|items| items.len()), Some(1));
        assert_eq!(left(fields), r#"{"d":7}"#);
    }

    #[test]
    fn labels_are_taken_in_every_shape() {
        let mut fields = object(r#"{"a": {"x": 1}, "b": ["y:2"], "c": 7}"#);
        assert_eq!(fields.labels("a").get("x").map(|value| &**value), Some("1"));
        assert_eq!(fields.labels("b").get("y").map(|value| &**value), Some("2"));
        assert!(fields.labels("c").is_empty());
        assert_eq!(left(fields), r#"{"c":7}"#);
    }
}
