//! Structs of Cap'n Proto without generated code: fields by their place in the data and pointer sections.
//!
//! A data field of type `T` lies at a multiple of its size, so its place is that number; a pointer field is just counted.

use std::fmt;

use capnp::Result;
use capnp::introspect::{Introspect, Type, TypeVariant};
use capnp::private::layout::{PointerBuilder, PointerReader, StructBuilder, StructReader, StructSize};
use capnp::traits::{
    FromPointerBuilder, FromPointerReader, HasStructSize, IntoInternalStructReader, OwnedStruct, SetterInput,
};

/// A struct of `D` words of data and `P` pointers.
#[derive(Clone, Copy, Debug)]
pub struct Struct<const D: u16, const P: u16>;

/// Reads any struct: what it does not have is zero or null.
pub struct Fields<'a>(pub StructReader<'a>);

/// Writes one.
pub struct NewFields<'a, const D: u16, const P: u16>(pub StructBuilder<'a>);

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields")
    }
}

impl<const D: u16, const P: u16> fmt::Debug for NewFields<'_, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewFields")
    }
}

impl<const D: u16, const P: u16> Introspect for Struct<D, P> {
    fn introspect() -> Type {
        TypeVariant::AnyPointer.into()
    }
}

impl<const D: u16, const P: u16> OwnedStruct for Struct<D, P> {
    type Reader<'a> = Fields<'a>;
    type Builder<'a> = NewFields<'a, D, P>;
}

impl<'a> From<StructReader<'a>> for Fields<'a> {
    fn from(reader: StructReader<'a>) -> Self {
        Fields(reader)
    }
}

impl<'a> IntoInternalStructReader<'a> for Fields<'a> {
    fn into_internal_struct_reader(self) -> StructReader<'a> {
        self.0
    }
}

impl<'a> FromPointerReader<'a> for Fields<'a> {
    fn get_from_pointer(reader: &PointerReader<'a>, default: Option<&'a [capnp::Word]>) -> Result<Self> {
        Ok(Fields(reader.get_struct(default)?))
    }
}

impl<const D: u16, const P: u16> SetterInput<Struct<D, P>> for Fields<'_> {
    fn set_pointer_builder(mut builder: PointerBuilder<'_>, input: Self, canonicalize: bool) -> Result<()> {
        builder.set_struct(&input.0, canonicalize)
    }
}

impl<'a> Fields<'a> {
    /// What a pointer field points to.
    pub fn pointer<T: FromPointerReader<'a>>(&self, place: usize) -> Result<T> {
        T::get_from_pointer(&self.0.get_pointer_field(place), None)
    }
}

impl<'a, const D: u16, const P: u16> From<StructBuilder<'a>> for NewFields<'a, D, P> {
    fn from(builder: StructBuilder<'a>) -> Self {
        NewFields(builder)
    }
}

impl<const D: u16, const P: u16> HasStructSize for NewFields<'_, D, P> {
    const STRUCT_SIZE: StructSize = StructSize { data: D, pointers: P };
}

impl<'a, const D: u16, const P: u16> FromPointerBuilder<'a> for NewFields<'a, D, P> {
    fn init_pointer(builder: PointerBuilder<'a>, _: u32) -> Self {
        NewFields(builder.init_struct(Self::STRUCT_SIZE))
    }

    fn get_from_pointer(builder: PointerBuilder<'a>, default: Option<&'a [capnp::Word]>) -> Result<Self> {
        Ok(NewFields(builder.get_struct(Self::STRUCT_SIZE, default)?))
    }
}

impl<const D: u16, const P: u16> NewFields<'_, D, P> {
    /// Makes what a pointer field points to, `len` elements of a list.
    pub fn init<'b, T: FromPointerBuilder<'b>>(&'b mut self, place: usize, len: usize) -> T {
        T::init_pointer(self.0.reborrow().get_pointer_field(place), len as u32)
    }
}
