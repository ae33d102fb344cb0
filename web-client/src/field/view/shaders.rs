//! What runs on the graphics card.

/// Corners with a normal and a colour, in a frame of their own.
pub(super) const SOLID: &str = "#version 300 es
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 colour;
uniform mat4 clip_from_world;
uniform mat4 world_from_model;
out vec3 tint;
out vec3 facing;
void main() {
    mat3 turn = mat3(world_from_model);
    // Of a scaled frame the normals are scaled the other way round.
    vec3 scale = vec3(dot(turn[0], turn[0]), dot(turn[1], turn[1]), dot(turn[2], turn[2]));
    facing = turn * (normal / max(scale, 1e-12));
    tint = colour;
    gl_Position = clip_from_world * (world_from_model * vec4(position, 1.0));
}";

/// The same with many frames of one form.
pub(super) const PART: &str = "#version 300 es
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec3 x;
layout(location = 3) in vec3 y;
layout(location = 4) in vec3 z;
layout(location = 5) in vec3 centre;
layout(location = 6) in vec3 colour;
uniform mat4 clip_from_world;
out vec3 tint;
out vec3 facing;
void main() {
    vec3 scale = vec3(dot(x, x), dot(y, y), dot(z, z));
    facing = mat3(x, y, z) * (normal / max(scale, 1e-12));
    tint = colour;
    gl_Position = clip_from_world * vec4(mat3(x, y, z) * position + centre, 1.0);
}";

/// Light from above and a little from the right, on both sides of a face.
pub(super) const LIT: &str = "#version 300 es
precision highp float;
in vec3 tint;
in vec3 facing;
out vec4 colour;
void main() {
    vec3 normal = normalize(gl_FrontFacing ? facing : -facing);
    float sun = max(dot(normal, vec3(0.36, 0.80, 0.48)), 0.0);
    float sky = 0.5 + 0.5 * normal.y;
    colour = vec4(tint * (0.34 + 0.22 * sky + 0.52 * sun), 1.0);
}";

/// Points that are smaller the farther away they are.
pub(super) const DOTS: &str = "#version 300 es
layout(location = 0) in vec3 position;
uniform mat4 clip_from_world;
uniform float size;
void main() {
    gl_Position = clip_from_world * vec4(position, 1.0);
    gl_PointSize = clamp(size / max(gl_Position.w, 1e-4), 2.0, 64.0);
}";

/// A round point, darker at its edge.
pub(super) const ROUND: &str = "#version 300 es
precision highp float;
uniform vec3 paint;
out vec4 colour;
void main() {
    vec2 from_middle = 2.0 * gl_PointCoord - 1.0;
    float edge = dot(from_middle, from_middle);
    if (edge > 1.0) discard;
    colour = vec4(paint * (1.0 - 0.45 * edge), 1.0);
}";

/// Lines of several colours.
pub(super) const LINES: &str = "#version 300 es
layout(location = 0) in vec3 position;
layout(location = 2) in vec3 colour;
uniform mat4 clip_from_world;
out vec3 tint;
void main() {
    tint = colour;
    gl_Position = clip_from_world * vec4(position, 1.0);
}";

/// As they are.
pub(super) const PLAIN: &str = "#version 300 es
precision highp float;
in vec3 tint;
out vec4 colour;
void main() {
    colour = vec4(tint, 1.0);
}";
