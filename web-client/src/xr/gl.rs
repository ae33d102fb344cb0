//! The little WebGL2 that the headset needs: one shader for textured squares, one for plain boxes.

use glam::Mat4;
use wasm_bindgen::prelude::*;
use web_sys::{
    HtmlCanvasElement, HtmlVideoElement, WebGl2RenderingContext as Gl, WebGlProgram, WebGlShader, WebGlTexture,
    WebGlUniformLocation, WebGlVertexArrayObject,
};

const VERTEX: &str = "#version 300 es
layout(location = 0) in vec3 corner;
uniform mat4 clip_from_model;
uniform vec4 span;
out vec2 uv;
void main() {
    // Pictures are uploaded as they are, first row on top: turning them around is slow in browsers.
    uv = vec2(span.x + span.y * (corner.x + 0.5), span.z + span.w * (0.5 - corner.y));
    gl_Position = clip_from_model * vec4(corner, 1.0);
}";

const PICTURE: &str = "#version 300 es
precision mediump float;
uniform sampler2D picture;
uniform vec4 paint;
in vec2 uv;
out vec4 colour;
void main() {
    colour = texture(picture, uv) * paint;
}";

const PLAIN: &str = "#version 300 es
precision mediump float;
uniform vec4 paint;
out vec4 colour;
void main() {
    colour = paint;
}";

/// Corners of the unit square in the plane z = 0, as a strip.
const SQUARE: [f32; 12] = [-0.5, -0.5, 0.0, 0.5, -0.5, 0.0, -0.5, 0.5, 0.0, 0.5, 0.5, 0.0];

/// Corners of the unit cube around the origin, as one strip over all faces.
const CUBE: [f32; 42] = [
    -0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5, -0.5, 0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5,
    -0.5, 0.5, 0.5, -0.5, 0.5, -0.5, -0.5, -0.5, 0.5, -0.5, -0.5, -0.5, 0.5, -0.5, -0.5, -0.5, 0.5, -0.5, 0.5, 0.5,
    -0.5,
];

/// A picture on the graphics card.
pub(crate) struct Texture(WebGlTexture);

/// The compiled shaders and meshes of one context.
pub(crate) struct Painter {
    gl: Gl,
    picture: Program,
    plain: Program,
    square: WebGlVertexArrayObject,
    cube: WebGlVertexArrayObject,
}

struct Program {
    program: WebGlProgram,
    clip_from_model: Option<WebGlUniformLocation>,
    span: Option<WebGlUniformLocation>,
    paint: Option<WebGlUniformLocation>,
}

impl Painter {
    pub(crate) fn new(gl: Gl) -> Result<Self, JsValue> {
        let picture = Program::new(&gl, PICTURE)?;
        let plain = Program::new(&gl, PLAIN)?;
        let square = mesh(&gl, &SQUARE)?;
        let cube = mesh(&gl, &CUBE)?;
        gl.enable(Gl::DEPTH_TEST);
        gl.enable(Gl::BLEND);
        // Everything is premultiplied, as the compositor of a passthrough headset expects it.
        gl.blend_func(Gl::ONE, Gl::ONE_MINUS_SRC_ALPHA);
        Ok(Self { gl, picture, plain, square, cube })
    }

    pub(crate) fn texture(&self) -> Result<Texture, JsValue> {
        let gl = &self.gl;
        let texture = gl.create_texture().ok_or("the graphics context was lost")?;
        gl.bind_texture(Gl::TEXTURE_2D, Some(&texture));
        for (parameter, value) in [
            (Gl::TEXTURE_MIN_FILTER, Gl::LINEAR),
            (Gl::TEXTURE_MAG_FILTER, Gl::LINEAR),
            (Gl::TEXTURE_WRAP_S, Gl::CLAMP_TO_EDGE),
            (Gl::TEXTURE_WRAP_T, Gl::CLAMP_TO_EDGE),
        ] {
            gl.tex_parameteri(Gl::TEXTURE_2D, parameter, value.cast_signed());
        }
        Ok(Texture(texture))
    }

    /// Copies the video's present picture; the texture keeps its old one if the browser refuses.
    pub(crate) fn upload_video(&self, texture: &Texture, video: &HtmlVideoElement) -> Result<(), JsValue> {
        let gl = &self.gl;
        gl.bind_texture(Gl::TEXTURE_2D, Some(&texture.0));
        gl.tex_image_2d_with_u32_and_u32_and_html_video_element(
            Gl::TEXTURE_2D,
            0,
            Gl::RGBA.cast_signed(),
            Gl::RGBA,
            Gl::UNSIGNED_BYTE,
            video,
        )
    }

    /// Copies the canvas, with its transparency.
    pub(crate) fn upload_canvas(&self, texture: &Texture, canvas: &HtmlCanvasElement) -> Result<(), JsValue> {
        let gl = &self.gl;
        gl.bind_texture(Gl::TEXTURE_2D, Some(&texture.0));
        gl.pixel_storei(Gl::UNPACK_PREMULTIPLY_ALPHA_WEBGL, 1);
        let copied = gl.tex_image_2d_with_u32_and_u32_and_html_canvas_element(
            Gl::TEXTURE_2D,
            0,
            Gl::RGBA.cast_signed(),
            Gl::RGBA,
            Gl::UNSIGNED_BYTE,
            canvas,
        );
        gl.pixel_storei(Gl::UNPACK_PREMULTIPLY_ALPHA_WEBGL, 0);
        copied
    }

    /// Draws the part `[start, width]` of the texture's width on the unit square.
    pub(crate) fn draw_picture(&self, clip_from_model: Mat4, texture: &Texture, [start, width]: [f32; 2]) {
        self.draw_part(clip_from_model, texture, [start, width, 0.0, 1.0], [1.0; 3]);
    }

    /// Draws the part `[left, width, top, height]` of the texture, in parts of its size, on the unit square, tinted.
    pub(crate) fn draw_part(
        &self,
        clip_from_model: Mat4,
        texture: &Texture,
        [left, width, top, height]: [f32; 4],
        [r, g, b]: [f32; 3],
    ) {
        let gl = &self.gl;
        self.picture.select(gl, clip_from_model);
        gl.uniform4f(self.picture.span.as_ref(), left, width, top, height);
        gl.uniform4f(self.picture.paint.as_ref(), r, g, b, 1.0);
        gl.bind_texture(Gl::TEXTURE_2D, Some(&texture.0));
        gl.bind_vertex_array(Some(&self.square));
        gl.draw_arrays(Gl::TRIANGLE_STRIP, 0, (SQUARE.len() / 3) as i32);
    }

    /// Draws the unit cube in one opaque colour.
    pub(crate) fn draw_cube(&self, clip_from_model: Mat4, [r, g, b]: [f32; 3]) {
        let gl = &self.gl;
        self.plain.select(gl, clip_from_model);
        gl.uniform4f(self.plain.paint.as_ref(), r, g, b, 1.0);
        gl.bind_vertex_array(Some(&self.cube));
        gl.draw_arrays(Gl::TRIANGLE_STRIP, 0, (CUBE.len() / 3) as i32);
    }

    /// Draws over everything, or again within depth.
    pub(crate) fn set_depth_test(&self, on: bool) {
        if on { self.gl.enable(Gl::DEPTH_TEST) } else { self.gl.disable(Gl::DEPTH_TEST) }
    }
}

impl Program {
    fn new(gl: &Gl, fragment: &str) -> Result<Self, JsValue> {
        let program = link(gl, VERTEX, fragment)?;
        let uniform = |name| gl.get_uniform_location(&program, name);
        Ok(Self {
            clip_from_model: uniform("clip_from_model"),
            span: uniform("span"),
            paint: uniform("paint"),
            program,
        })
    }

    fn select(&self, gl: &Gl, clip_from_model: Mat4) {
        gl.use_program(Some(&self.program));
        gl.uniform_matrix4fv_with_f32_array(self.clip_from_model.as_ref(), false, &clip_from_model.to_cols_array());
    }
}

/// A program of these two shaders.
///
/// # Errors
/// What the browser says to them.
pub(crate) fn link(gl: &Gl, vertex: &str, fragment: &str) -> Result<WebGlProgram, JsValue> {
    let program = gl.create_program().ok_or("the graphics context was lost")?;
    gl.attach_shader(&program, &shader(gl, Gl::VERTEX_SHADER, vertex)?);
    gl.attach_shader(&program, &shader(gl, Gl::FRAGMENT_SHADER, fragment)?);
    gl.link_program(&program);
    if gl.get_program_parameter(&program, Gl::LINK_STATUS).is_truthy() {
        Ok(program)
    } else {
        Err(gl.get_program_info_log(&program).unwrap_or_default().into())
    }
}

fn shader(gl: &Gl, kind: u32, source: &str) -> Result<WebGlShader, JsValue> {
    let shader = gl.create_shader(kind).ok_or("the graphics context was lost")?;
    gl.shader_source(&shader, source);
    gl.compile_shader(&shader);
    if gl.get_shader_parameter(&shader, Gl::COMPILE_STATUS).is_truthy() {
        Ok(shader)
    } else {
        Err(gl.get_shader_info_log(&shader).unwrap_or_default().into())
    }
}

fn mesh(gl: &Gl, corners: &[f32]) -> Result<WebGlVertexArrayObject, JsValue> {
    let mesh = gl.create_vertex_array().ok_or("the graphics context was lost")?;
    gl.bind_vertex_array(Some(&mesh));
    gl.bind_buffer(Gl::ARRAY_BUFFER, gl.create_buffer().as_ref());
    gl.buffer_data_with_array_buffer_view(Gl::ARRAY_BUFFER, &js_sys::Float32Array::from(corners), Gl::STATIC_DRAW);
    gl.enable_vertex_attrib_array(0);
    gl.vertex_attrib_pointer_with_i32(0, 3, Gl::FLOAT, false, 0, 0);
    Ok(mesh)
}
