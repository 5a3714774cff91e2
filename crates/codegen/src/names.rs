//! Converts names of the description into Rust identifiers.

/// A name in snake case: of a method, a setter, a module. `None` if no part of it is valid in Rust.
pub fn snake(name: &str) -> Option<String> {
    let mut ident = String::new();
    for word in words(name) {
        if !ident.is_empty() {
            ident.push('_');
        }
        ident.push_str(&word.to_ascii_lowercase());
    }
    identifier(ident)
}

/// A name in camel case: of a type.
pub fn pascal(name: &str) -> Option<String> {
    let mut ident = String::new();
    for word in words(name) {
        let mut letters = word.chars();
        ident.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        ident.push_str(letters.as_str());
    }
    // A digit cannot start a name; a type must not have the name of a module.
    if ident.starts_with(|c: char| c.is_ascii_digit()) {
        ident.insert(0, 'N');
    }
    identifier(ident)
}

/// The snake case of an identifier in camel case: of an accessor named after a variant.
pub fn snake_of_camel(ident: &str) -> String {
    let mut snake = String::new();
    let mut in_word = false;
    for c in ident.chars() {
        if c.is_ascii_uppercase() && in_word {
            snake.push('_');
        }
        in_word = !c.is_ascii_uppercase() && c != '_';
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The common key of two names that would be the same in Rust.
pub fn squashed(name: &str) -> String {
    words(name).concat().to_ascii_lowercase()
}

/// The words of a name. A sign before a digit is a word: `+1` is not `-1`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut rest = name.trim_start_matches("r#").chars().peekable();
    let mut previous = None;
    while let Some(c) = rest.next() {
        let signs = previous.is_none_or(|c: char| !c.is_ascii_alphanumeric())
            && rest.peek().is_some_and(char::is_ascii_digit);
        match (c, words.last_mut()) {
            (c, Some(word)) if c.is_ascii_alphanumeric() => word.push(c),
            ('+', _) if signs => words.push("plus".to_owned()),
            ('-', _) if signs => words.push("minus".to_owned()),
            _ => words.push(String::new()),
        }
        previous = Some(c);
    }
    words.retain(|word| !word.is_empty());
    words
}

fn identifier(mut ident: String) -> Option<String> {
    if ident.is_empty() {
        return None;
    }
    if ident.starts_with(|c: char| c.is_ascii_digit()) {
        ident.insert(0, '_');
    }
    if syn::parse_str::<syn::Ident>(&ident).is_err() {
        ident.push('_');
    }
    Some(ident)
}
