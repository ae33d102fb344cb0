//! Buffers, forms and programs of one WebGL2 context.

use std::f32::consts::{PI, TAU};

use glam::{Mat4, Vec3};
use wasm_bindgen::prelude::*;
use web_sys::{WebGl2RenderingContext as Gl, WebGlBuffer, WebGlProgram, WebGlUniformLocation, WebGlVertexArrayObject};

use super::Eye;
use crate::xr::link;

/// Rings and sides of a ball.
const BALL: (u16, u16) = (10, 16);

/// Numbers that a shader reads together.
#[derive(Clone, Copy)]
pub(super) struct Attribute {
    location: u32,
    size: i32,
}

impl Attribute {
    const fn new(location: u32, size: i32) -> Self {
        Self { location, size }
    }
}

/// What a buffer holds, in its order.
pub(super) mod attributes {
    use super::Attribute;

    pub(in super::super) const POINT: &[Attribute] = &[Attribute::new(0, 3)];
    pub(in super::super) const POINT_AND_NORMAL: &[Attribute] = &[Attribute::new(0, 3), Attribute::new(1, 3)];
    pub(in super::super) const POINT_AND_COLOUR: &[Attribute] = &[Attribute::new(0, 3), Attribute::new(2, 3)];
    pub(in super::super) const CORNER: &[Attribute] =
        &[Attribute::new(0, 3), Attribute::new(1, 3), Attribute::new(2, 3)];
    pub(in super::super) const PLACE: &[Attribute] =
        &[Attribute::new(2, 3), Attribute::new(3, 3), Attribute::new(4, 3), Attribute::new(5, 3), Attribute::new(6, 3)];
}

/// Memory on the graphics card that is refilled in place, and grows by itself.
pub(super) struct Buffer {
    buffer: WebGlBuffer,
    room: usize,
}

impl Buffer {
    fn new(gl: &Gl) -> Result<Self, JsValue> {
        Ok(Self { buffer: gl.create_buffer().ok_or("the graphics context was lost")?, room: 0 })
    }

    /// No vertex array must be bound that another buffer belongs to.
    pub(super) fn fill(&mut self, gl: &Gl, target: u32, bytes: &[u8]) {
        gl.bind_buffer(target, Some(&self.buffer));
        if bytes.len() > self.room {
            self.room = bytes.len().next_power_of_two();
            gl.buffer_data_with_i32(target, i32::try_from(self.room).unwrap_or(i32::MAX), Gl::DYNAMIC_DRAW);
        }
        gl.buffer_sub_data_with_i32_and_u8_array(target, 0, bytes);
    }
}

/// Corners, and triangles between them.
pub(super) struct Shape {
    array: WebGlVertexArrayObject,
    corners: Buffer,
    triangles: Buffer,
    /// Numbers in the one, corners in the other.
    lengths: [usize; 2],
    /// Numbers per corner.
    stride: usize,
}

impl Shape {
    pub(super) fn new(gl: &Gl, layout: &[Attribute]) -> Result<Self, JsValue> {
        let array = gl.create_vertex_array().ok_or("the graphics context was lost")?;
        let (corners, triangles) = (Buffer::new(gl)?, Buffer::new(gl)?);
        gl.bind_vertex_array(Some(&array));
        gl.bind_buffer(Gl::ARRAY_BUFFER, Some(&corners.buffer));
        let stride = lay_out(gl, layout, 0);
        gl.bind_buffer(Gl::ELEMENT_ARRAY_BUFFER, Some(&triangles.buffer));
        gl.bind_vertex_array(None);
        Ok(Self { array, corners, triangles, lengths: [0; 2], stride })
    }

    /// Adds what comes once per instance.
    pub(super) fn instanced(&self, gl: &Gl, layout: &[Attribute]) -> Result<Buffer, JsValue> {
        let buffer = Buffer::new(gl)?;
        gl.bind_vertex_array(Some(&self.array));
        gl.bind_buffer(Gl::ARRAY_BUFFER, Some(&buffer.buffer));
        lay_out(gl, layout, 1);
        gl.bind_vertex_array(None);
        Ok(buffer)
    }

    pub(super) fn corners(&mut self, gl: &Gl, numbers: &[f32]) {
        self.lengths[0] = numbers.len();
        self.corners.fill(gl, Gl::ARRAY_BUFFER, bytemuck::cast_slice(numbers));
    }

    pub(super) fn triangles(&mut self, gl: &Gl, corners: &[u32]) {
        self.lengths[1] = corners.len();
        // The vertex array remembers its triangles: bound elsewhere, they would become another's.
        gl.bind_vertex_array(Some(&self.array));
        self.triangles.fill(gl, Gl::ELEMENT_ARRAY_BUFFER, bytemuck::cast_slice(corners));
        gl.bind_vertex_array(None);
    }

    /// Draws the corners; `stride` numbers each.
    pub(super) fn draw(&self, gl: &Gl, mode: u32, stride: usize) {
        gl.bind_vertex_array(Some(&self.array));
        gl.draw_arrays(mode, 0, count(self.lengths[0] / stride));
    }

    pub(super) fn draw_triangles(&self, gl: &Gl) {
        if self.lengths[1] > 0 {
            gl.bind_vertex_array(Some(&self.array));
            gl.draw_elements_with_i32(Gl::TRIANGLES, count(self.lengths[1]), Gl::UNSIGNED_INT, 0);
        }
    }

    pub(super) fn draw_instances(&self, gl: &Gl, instances: usize) {
        if instances > 0 {
            gl.bind_vertex_array(Some(&self.array));
            gl.draw_arrays_instanced(Gl::TRIANGLES, 0, count(self.lengths[0] / self.stride), count(instances));
        }
    }
}

fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Tells the bound vertex array what the bound buffer holds; returns the numbers of one corner.
fn lay_out(gl: &Gl, layout: &[Attribute], divisor: u32) -> usize {
    let numbers: i32 = layout.iter().map(|attribute| attribute.size).sum();
    let mut offset = 0;
    for attribute in layout {
        gl.enable_vertex_attrib_array(attribute.location);
        gl.vertex_attrib_pointer_with_i32(
            attribute.location,
            attribute.size,
            Gl::FLOAT,
            false,
            4 * numbers,
            4 * offset,
        );
        gl.vertex_attrib_divisor(attribute.location, divisor);
        offset += attribute.size;
    }
    usize::try_from(numbers).unwrap_or_default()
}

/// A program and where its parameters are.
pub(super) struct Program {
    program: WebGlProgram,
    clip_from_world: Option<WebGlUniformLocation>,
    world_from_model: Option<WebGlUniformLocation>,
    size: Option<WebGlUniformLocation>,
    paint: Option<WebGlUniformLocation>,
}

impl Program {
    pub(super) fn new(gl: &Gl, vertex: &str, fragment: &str) -> Result<Self, JsValue> {
        let program = link(gl, vertex, fragment)?;
        let uniform = |name| gl.get_uniform_location(&program, name);
        Ok(Self {
            clip_from_world: uniform("clip_from_world"),
            world_from_model: uniform("world_from_model"),
            size: uniform("size"),
            paint: uniform("paint"),
            program,
        })
    }

    pub(super) fn select(&self, gl: &Gl, eye: &Eye) {
        gl.use_program(Some(&self.program));
        let clip = eye.clip_from_world.to_cols_array();
        gl.uniform_matrix4fv_with_f32_array(self.clip_from_world.as_ref(), false, &clip);
    }

    pub(super) fn stand(&self, gl: &Gl, world_from_model: Mat4) {
        let model = world_from_model.to_cols_array();
        gl.uniform_matrix4fv_with_f32_array(self.world_from_model.as_ref(), false, &model);
    }

    pub(super) fn paint(&self, gl: &Gl, [r, g, b]: [f32; 3], size: f32) {
        gl.uniform3f(self.paint.as_ref(), r, g, b);
        gl.uniform1f(self.size.as_ref(), size);
    }
}

/// Triangles of a ball of radius 1 around the origin: corners and normals.
pub(super) fn ball() -> Vec<f32> {
    let (rings, sides) = BALL;
    let at = |ring: u16, side: u16| {
        let (down, around) = (PI * f32::from(ring) / f32::from(rings), TAU * f32::from(side) / f32::from(sides));
        Vec3::new(down.sin() * around.cos(), down.cos(), -down.sin() * around.sin())
    };
    let mut numbers = Vec::new();
    for ring in 0..rings {
        for side in 0..sides {
            let [a, b, c, d] = [at(ring, side), at(ring, side + 1), at(ring + 1, side), at(ring + 1, side + 1)];
            for corner in [a, c, b, b, c, d] {
                numbers.extend(corner.to_array());
                numbers.extend(corner.to_array());
            }
        }
    }
    numbers
}

/// Triangles of a cube of edge 1 around the origin: corners and normals.
pub(super) fn cube() -> Vec<f32> {
    let mut numbers = Vec::new();
    for normal in [Vec3::X, Vec3::Y, Vec3::Z, Vec3::NEG_X, Vec3::NEG_Y, Vec3::NEG_Z] {
        let across = Vec3::new(normal.y, normal.z, normal.x);
        let along = normal.cross(across);
        let corner = |x: f32, y: f32| 0.5 * (normal + across * x + along * y);
        let [a, b, c, d] = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        for corner in [a, b, c, a, c, d] {
            numbers.extend(corner.to_array());
            numbers.extend(normal.to_array());
        }
    }
    numbers
}
