//! What may stand between a binary operator and its right operand.

use super::{Failure, Parsed, Parser};
use crate::ast::{Cardinality, VectorMatching};
use crate::lexer::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// `bool`, `on`, `ignoring`, `group_left`, `group_right`, `fill`: whether there is `bool`, and the rest.
    pub(super) fn binary_modifiers(&mut self) -> Parsed<(bool, VectorMatching)> {
        let mut matching = VectorMatching::default();
        let return_bool = self.accept(TokenKind::Keyword(Keyword::Bool))?;
        if let TokenKind::Keyword(word @ (Keyword::On | Keyword::Ignoring)) = self.peek()? {
            self.take()?;
            matching.on = word == Keyword::On;
            matching.labels = self.label_list()?;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        matching.card = match self.peek()? {
            TokenKind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            TokenKind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.take()?;
        // Where no expression follows, it was a list that is missing.
        if self.peek()? == TokenKind::LeftParen || !self.peek()?.starts_expression() {
            matching.include = self.label_list()?;
        }
        Ok(())
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        match self.peek()? {
            TokenKind::Keyword(Keyword::Fill) => {
                let value = self.fill_value()?;
                (matching.fill_lhs, matching.fill_rhs) = (value, value);
            }
            TokenKind::Keyword(Keyword::FillLeft) => {
                matching.fill_lhs = self.fill_value()?;
                if self.peek()? == TokenKind::Keyword(Keyword::FillRight) {
                    matching.fill_rhs = self.fill_value()?;
                }
            }
            TokenKind::Keyword(Keyword::FillRight) => {
                matching.fill_rhs = self.fill_value()?;
                if self.peek()? == TokenKind::Keyword(Keyword::FillLeft) {
                    matching.fill_lhs = self.fill_value()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A number in parentheses behind the word.
    fn fill_value(&mut self) -> Parsed<Option<f64>> {
        self.take()?;
        self.expect(TokenKind::LeftParen)?;
        let sign = self.accept_sign()?;
        if !matches!(self.peek()?, TokenKind::Number | TokenKind::Duration) {
            return Err(Failure::Unexpected);
        }
        let number = self.number_literal()?;
        self.expect(TokenKind::RightParen)?;
        let number = match sign {
            Some((op, token)) => number.signed(op, token.span),
            None => number,
        };
        Ok(Some(number.value))
    }
}
