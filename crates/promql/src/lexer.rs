//! From text to tokens.
//!
//! What a character means depends on where it stands: inside braces every word is a label name, after `[` comes the
//! language of durations until its first number. The lexer itself keeps count of parentheses, so that it and not the
//! parser finds them unbalanced, as in Prometheus.

pub(crate) mod number;
pub(crate) mod text;
pub(crate) mod token;

use crate::ast::{BinaryOp, Span};
use token::{Builtin, Keyword, Token, TokenKind, quote_char};

/// A place where the text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) start: usize,
    pub(crate) message: String,
}

/// What a scan step found; `None` is space or a comment.
type Found = Result<Option<TokenKind>, LexError>;

/// Reads one token after the other.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    input: &'a str,
    /// The next character to read.
    pos: usize,
    /// Where the current token begins.
    start: usize,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// After `[` and before the first number.
    in_duration: bool,
    seen_colon: bool,
    /// Whether any bracket so far had a number. It is never reset, which is how Prometheus has it.
    seen_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Lexer {
            input,
            pos: 0,
            start: 0,
            paren_depth: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            seen_colon: false,
            seen_duration: false,
        }
    }

    /// The next token; at the end of the text `EndOfInput`, again and again.
    pub(crate) fn next_token(&mut self) -> Result<Token, LexError> {
        loop {
            self.start = self.pos;
            let found = if self.in_duration {
                self.scan_in_duration()
            } else if self.in_braces {
                self.scan_in_braces()
            } else {
                self.scan_statement()
            }?;
            if let Some(kind) = found {
                return Ok(Token { kind, span: Span::new(self.start, self.pos) });
            }
        }
    }

    fn scan_statement(&mut self) -> Found {
        let Some(c) = self.advance() else { return self.end_of_statement() };
        Ok(Some(match c {
            '#' => return self.skip_comment(),
            c if is_space(c) => return self.skip_space(),
            ',' => TokenKind::Comma,
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '=' | '!' | '<' | '>' => return self.scan_comparison(c),
            '"' | '\'' | '`' => return self.scan_string(c),
            '(' => self.open_paren(),
            ')' => return self.close_paren(),
            '{' => {
                self.in_braces = true;
                TokenKind::LeftBrace
            }
            '[' => return self.open_bracket(),
            ']' => return self.close_bracket(),
            '@' => TokenKind::At,
            c if c.is_ascii_digit() || (c == '.' && self.peek_is(|b| b.is_ascii_digit())) => {
                self.pos = self.start;
                return self.scan_number_or_duration();
            }
            c if is_alpha(c) || c == ':' => {
                return if self.in_brackets { self.scan_bracket_word(c) } else { self.scan_word() };
            }
            c => return self.fail(format!("unexpected character: {}", quote_char(Some(c)))),
        }))
    }

    fn end_of_statement(&self) -> Found {
        if self.paren_depth != 0 {
            self.fail("unclosed left parenthesis")
        } else if self.in_brackets {
            self.fail("unclosed left bracket")
        } else {
            Ok(Some(TokenKind::EndOfInput))
        }
    }

    fn scan_comparison(&mut self, first: char) -> Found {
        let second = self.peek();
        let op = match (first, second) {
            ('=', Some('=')) => BinaryOp::Equal,
            ('!', Some('=')) => BinaryOp::NotEqual,
            ('<', Some('=')) => BinaryOp::LessOrEqual,
            ('>', Some('=')) => BinaryOp::GreaterOrEqual,
            ('<', Some('/')) => BinaryOp::TrimUpper,
            ('>', Some('/')) => BinaryOp::TrimLower,
            ('<', _) => return Ok(Some(TokenKind::Operator(BinaryOp::Less))),
            ('>', _) => return Ok(Some(TokenKind::Operator(BinaryOp::Greater))),
            ('=', Some('~')) | ('!', _) => {
                return self.fail(format!("unexpected character after '{first}': {}", quote_char(second)));
            }
            _ => return Ok(Some(TokenKind::Assign)),
        };
        self.advance();
        Ok(Some(TokenKind::Operator(op)))
    }

    fn scan_word(&mut self) -> Found {
        self.advance_while(|b| is_word_byte(b) || b == b':');
        let word = &self.input[self.start..self.pos];
        let is_fill = |kind| matches!(kind, TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight));
        Ok(Some(match TokenKind::of_word(word) {
            // The fill words are young; where no parenthesis follows they are names, as they always were.
            Some(kind) if is_fill(kind) && !self.left_paren_follows() => TokenKind::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }))
    }

    fn left_paren_follows(&self) -> bool {
        self.input[self.pos..].trim_start_matches(is_space).starts_with('(')
    }

    /// A word or colon between brackets, behind the first number.
    fn scan_bracket_word(&mut self, c: char) -> Found {
        if c == ':' {
            if self.seen_colon {
                return self.fail("unexpected colon ':'");
            }
            self.seen_colon = true;
            return Ok(Some(TokenKind::Colon));
        }
        match self.scan_duration_builtin(c) {
            Some(kind) => Ok(Some(kind)),
            None => self.fail(format!("unexpected character: {}, expected ':'", quote_char(Some(c)))),
        }
    }

    fn scan_duration_builtin(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.advance_while(|b| b.is_ascii_alphabetic() || b == b'_');
        let word = self.input[self.start..self.pos].to_ascii_lowercase();
        Builtin::of_duration(&word).map(TokenKind::Builtin)
    }

    fn scan_in_duration(&mut self) -> Found {
        let Some(c) = self.advance() else {
            return self.fail("unexpected end of input in duration expression");
        };
        Ok(Some(match c {
            ']' => return self.close_bracket(),
            ':' => return self.duration_colon(),
            '(' => self.open_paren(),
            ')' => return self.close_paren(),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            ',' => TokenKind::Comma,
            c if is_space(c) => return self.skip_space(),
            c if c.is_ascii_digit() || (c == '.' && self.peek_is(|b| b.is_ascii_digit())) => {
                self.pos = self.start;
                self.seen_duration = true;
                self.in_duration = false;
                return self.scan_number_or_duration();
            }
            c => match self.scan_duration_builtin(c) {
                Some(kind) => kind,
                None => {
                    return self.fail(format!("unexpected character in duration expression: {}", quote_char(Some(c))));
                }
            },
        }))
    }

    fn duration_colon(&mut self) -> Found {
        // These two errors point behind the colon.
        self.start = if self.seen_duration && !self.seen_colon { self.start } else { self.pos };
        if !self.seen_duration {
            return self.fail("unexpected colon before duration in duration expression");
        }
        if self.seen_colon {
            return self.fail("unexpected repeated colon in duration expression");
        }
        self.seen_colon = true;
        Ok(Some(TokenKind::Colon))
    }

    /// Inside braces keywords are names.
    fn scan_in_braces(&mut self) -> Found {
        let Some(c) = self.advance() else {
            return self.fail("unexpected end of input inside braces");
        };
        Ok(Some(match c {
            '#' => return self.skip_comment(),
            c if is_space(c) => return self.skip_space(),
            c if is_alpha(c) => {
                self.advance_while(is_word_byte);
                TokenKind::Identifier
            }
            ',' => TokenKind::Comma,
            '"' | '\'' | '`' => return self.scan_string(c),
            '=' if self.peek() == Some('~') => {
                self.advance();
                TokenKind::MatchRegexp
            }
            '=' => TokenKind::Assign,
            '!' => match self.advance() {
                Some('~') => TokenKind::MatchNotRegexp,
                Some('=') => TokenKind::Operator(BinaryOp::NotEqual),
                other => {
                    return self.fail(format!("unexpected character after '!' inside braces: {}", quote_char(other)));
                }
            },
            '{' => return self.fail("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                TokenKind::RightBrace
            }
            c => return self.fail(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        }))
    }

    fn open_paren(&mut self) -> TokenKind {
        self.paren_depth += 1;
        TokenKind::LeftParen
    }

    fn close_paren(&mut self) -> Found {
        let Some(depth) = self.paren_depth.checked_sub(1) else {
            self.start = self.pos;
            return self.fail("unexpected right parenthesis ')'");
        };
        self.paren_depth = depth;
        Ok(Some(TokenKind::RightParen))
    }

    fn open_bracket(&mut self) -> Found {
        if self.in_brackets {
            return self.fail("unexpected left bracket '['");
        }
        (self.in_brackets, self.in_duration, self.seen_colon) = (true, true, false);
        Ok(Some(TokenKind::LeftBracket))
    }

    fn close_bracket(&mut self) -> Found {
        if !self.in_brackets {
            return self.fail("unexpected right bracket ']'");
        }
        (self.in_brackets, self.in_duration) = (false, false);
        Ok(Some(TokenKind::RightBracket))
    }

    fn skip_space(&mut self) -> Found {
        self.advance_while(|b| is_space(b as char));
        Ok(None)
    }

    fn skip_comment(&mut self) -> Found {
        self.advance_while(|b| b != b'\n' && b != b'\r');
        Ok(None)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, LexError> {
        Err(LexError { start: self.start, message: message.into() })
    }

    fn peek(&self) -> Option<char> {
        self.input[self.pos..].chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let c = match self.input.as_bytes().get(self.pos) {
            Some(byte) if byte.is_ascii() => char::from(*byte),
            _ => self.peek()?,
        };
        self.pos += c.len_utf8();
        Some(c)
    }

    fn peek_is(&self, accepts: impl Fn(u8) -> bool) -> bool {
        self.input.as_bytes().get(self.pos).is_some_and(|b| accepts(*b))
    }

    /// Takes the next byte if it is wanted; never splits a character, as only comments want bytes beyond ASCII, and all
    /// of them.
    fn accept(&mut self, accepts: impl Fn(u8) -> bool) -> bool {
        let accepted = self.peek_is(accepts);
        self.pos += usize::from(accepted);
        accepted
    }

    fn advance_while(&mut self, accepts: impl Fn(u8) -> bool) {
        let rest = &self.input.as_bytes()[self.pos..];
        self.pos += rest.iter().position(|byte| !accepts(*byte)).unwrap_or(rest.len());
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_word_byte(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphanumeric()
}
