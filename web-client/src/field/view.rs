//! Draws the scene with WebGL2, on a screen or for one eye of a headset. Buffers are refilled in place.

mod gpu;
mod shaders;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use glam::{DAffine3, DQuat, DVec3, Mat4};
use waldo_protocol::field::{Mesh, SceneState};
use wasm_bindgen::prelude::*;
use web_sys::WebGl2RenderingContext as Gl;

use self::gpu::{Buffer, Program, Shape, attributes};
use super::meshes::Meshes;
use super::model::Model;
use super::picture::{PART, Parts, Picture};
use super::tube::CORNER;

/// Behind everything.
const BACKGROUND: [f32; 3] = [0.102, 0.122, 0.169];
/// Edge of the grid on the floor, metres, and the squares along it.
const GRID: (f32, u16) = (8.0, 16);
const GRID_LINE: [f32; 3] = [0.235, 0.275, 0.36];
const GRID_MIDDLE: [f32; 3] = [0.36, 0.42, 0.54];
/// Length and thickness of the axes at the origin, metres.
const AXIS: (f64, f64) = (0.3, 0.006);
const AXES: [(DVec3, [f32; 3]); 3] =
    [(DVec3::X, [0.92, 0.26, 0.24]), (DVec3::Y, [0.35, 0.80, 0.40]), (DVec3::Z, [0.29, 0.53, 0.95])];
/// Size of a contact point, metres.
const CONTACT: f64 = 0.009;
const CONTACT_COLOUR: [f32; 3] = [1.0, 0.85, 0.35];
const OVERLAY_COLOUR: [f32; 3] = [0.45, 0.82, 0.98];

/// From where, and onto what.
pub(crate) struct Eye {
    /// Projection and view together.
    pub(crate) clip_from_world: Mat4,
    /// Pixels per metre at a distance of one metre.
    pub(crate) scale: f32,
}

impl Eye {
    /// Looking from `view` through `projection` at `height` pixels.
    pub(crate) fn new(projection: Mat4, view_from_world: Mat4, height: f32) -> Self {
        Self { clip_from_world: projection * view_from_world, scale: 0.5 * height * projection.y_axis.y }
    }
}

/// See the module.
pub(crate) struct View {
    gl: Gl,
    solid: Program,
    part: Program,
    dots: Program,
    lines: Program,
    tubes: Shape,
    ball: Instances,
    cube: Instances,
    axes: Instances,
    own: [Instances; 2],
    grid: Shape,
    contacts: Shape,
    overlays: BTreeMap<String, Cloud>,
    meshes: BTreeMap<String, Loaded>,
    /// The picture that the buffers hold.
    shown: u64,
}

struct Instances {
    shape: Shape,
    places: Buffer,
    count: usize,
}

struct Cloud {
    points: Arc<[[f64; 3]]>,
    size: f64,
    visible: bool,
    shape: Shape,
}

struct Loaded {
    model: Rc<Model>,
    shape: Shape,
    place: Option<Mat4>,
}

impl View {
    /// Compiles and uploads what every scene needs.
    ///
    /// # Errors
    /// What the browser says.
    pub(crate) fn new(gl: Gl) -> Result<Self, JsValue> {
        gl.enable(Gl::DEPTH_TEST);
        gl.enable(Gl::BLEND);
        // As everywhere on the page: colours are premultiplied.
        gl.blend_func(Gl::ONE, Gl::ONE_MINUS_SRC_ALPHA);
        let (ball, cube) = (gpu::ball(), gpu::cube());
        let mut view = Self {
            solid: Program::new(&gl, shaders::SOLID, shaders::LIT)?,
            part: Program::new(&gl, shaders::PART, shaders::LIT)?,
            dots: Program::new(&gl, shaders::DOTS, shaders::ROUND)?,
            lines: Program::new(&gl, shaders::LINES, shaders::PLAIN)?,
            tubes: Shape::new(&gl, attributes::CORNER)?,
            ball: Instances::new(&gl, &ball)?,
            cube: Instances::new(&gl, &cube)?,
            axes: Instances::new(&gl, &cube)?,
            own: [Instances::new(&gl, &ball)?, Instances::new(&gl, &cube)?],
            grid: Shape::new(&gl, attributes::POINT_AND_COLOUR)?,
            contacts: Shape::new(&gl, attributes::POINT)?,
            overlays: BTreeMap::new(),
            meshes: BTreeMap::new(),
            shown: 0,
            gl,
        };
        view.furnish();
        Ok(view)
    }

    /// What stands there without any scene.
    fn furnish(&mut self) {
        let (edge, squares) = GRID;
        let at = |line: u16| edge * (f32::from(line) / f32::from(squares) - 0.5);
        let mut lines = Vec::new();
        // Square by square: some graphics drop a line of which one end lies behind the eye.
        for (line, square) in (0..=squares).flat_map(|line| (0..squares).map(move |square| (line, square))) {
            let colour = if 2 * line == squares { GRID_MIDDLE } else { GRID_LINE };
            let [across, from, to] = [at(line), at(square), at(square + 1)];
            for [x, z] in [[across, from], [across, to], [from, across], [to, across]] {
                lines.extend([x, 0.0, z]);
                lines.extend(colour);
            }
        }
        self.grid.corners(&self.gl, &lines);
        let mut axes = Vec::new();
        for (axis, colour) in AXES {
            let size = axis * (AXIS.0 - AXIS.1) + AXIS.1;
            let at = DAffine3::from_scale_rotation_translation(size, DQuat::IDENTITY, axis * AXIS.0 / 2.0);
            for column in [at.matrix3.x_axis, at.matrix3.y_axis, at.matrix3.z_axis, at.translation] {
                axes.extend(column.as_vec3().to_array());
            }
            axes.extend(colour);
        }
        self.axes.place(&self.gl, &axes);
    }

    /// Takes over a scene, unless it has it already. `number` counts the pictures, from 1 on.
    ///
    /// # Errors
    /// If the graphics card has no room.
    pub(crate) fn update(
        &mut self,
        number: u64,
        picture: &Picture,
        scene: &SceneState,
        meshes: &Meshes,
    ) -> Result<(), JsValue> {
        if self.shown == number {
            return Ok(());
        }
        let gl = &self.gl;
        // Several pictures may have come since: what changed in any of them counts.
        let rewired = picture.rewired || number != self.shown + 1;
        self.shown = number;
        self.tubes.corners(gl, &picture.tubes.corners);
        if rewired {
            self.tubes.triangles(gl, &picture.tubes.triangles);
        }
        self.ball.place(gl, &picture.parts.balls);
        self.cube.place(gl, &picture.parts.boxes);
        self.contacts.corners(gl, &picture.contacts);
        self.update_overlays(scene)?;
        self.update_meshes(scene, meshes)
    }

    /// One's own hands, which move with every frame of the headset.
    pub(crate) fn update_own(&mut self, parts: &Parts) {
        let [balls, boxes] = &mut self.own;
        balls.place(&self.gl, &parts.balls);
        boxes.place(&self.gl, &parts.boxes);
    }

    fn update_overlays(&mut self, scene: &SceneState) -> Result<(), JsValue> {
        let gl = &self.gl;
        self.overlays.retain(|id, _| scene.overlay_points.contains_key(id));
        for (id, overlay) in &scene.overlay_points {
            let known = self.overlays.get(id).is_some_and(|cloud| Arc::ptr_eq(&cloud.points, &overlay.points));
            if !known {
                let shape = match self.overlays.remove(id) {
                    Some(cloud) => cloud.shape,
                    None => Shape::new(gl, attributes::POINT)?,
                };
                let mut cloud = Cloud { points: overlay.points.clone(), size: 0.0, visible: false, shape };
                let numbers: Vec<f32> = overlay.points.iter().flatten().map(|part| *part as f32).collect();
                cloud.shape.corners(gl, &numbers);
                self.overlays.insert(id.clone(), cloud);
            }
            if let Some(cloud) = self.overlays.get_mut(id) {
                (cloud.size, cloud.visible) = (overlay.point_size, overlay.visible);
            }
        }
        Ok(())
    }

    fn update_meshes(&mut self, scene: &SceneState, meshes: &Meshes) -> Result<(), JsValue> {
        let gl = &self.gl;
        self.meshes.retain(|id, _| scene.meshes.contains_key(id));
        for (id, mesh) in &scene.meshes {
            let Some(model) = meshes.model(id) else { continue };
            let known = self.meshes.get(id).is_some_and(|loaded| Rc::ptr_eq(&loaded.model, model));
            if !known {
                let mut shape = match self.meshes.remove(id) {
                    Some(loaded) => loaded.shape,
                    None => Shape::new(gl, attributes::CORNER)?,
                };
                shape.corners(gl, &model.corners);
                shape.triangles(gl, &model.triangles);
                self.meshes.insert(id.clone(), Loaded { model: model.clone(), shape, place: None });
            }
            if let Some(loaded) = self.meshes.get_mut(id) {
                loaded.place = mesh.visible.then(|| place(mesh));
            }
        }
        Ok(())
    }

    /// Fills what is drawn on.
    pub(crate) fn clear(&self) {
        let [r, g, b] = BACKGROUND;
        self.gl.clear_color(r, g, b, 1.0);
        self.gl.clear(Gl::COLOR_BUFFER_BIT | Gl::DEPTH_BUFFER_BIT);
    }

    /// Draws everything; `own`: with one's own hands.
    pub(crate) fn draw(&self, eye: &Eye, own: bool) {
        let gl = &self.gl;
        self.lines.select(gl, eye);
        self.grid.draw(gl, Gl::LINES, 6);

        self.solid.select(gl, eye);
        self.solid.stand(gl, Mat4::IDENTITY);
        self.tubes.draw_triangles(gl);
        for loaded in self.meshes.values() {
            if let Some(place) = loaded.place {
                self.solid.stand(gl, place);
                loaded.shape.draw_triangles(gl);
            }
        }

        self.part.select(gl, eye);
        for instances in [&self.axes, &self.ball, &self.cube] {
            instances.draw(gl);
        }
        if own {
            self.own.iter().for_each(|instances| instances.draw(gl));
        }

        self.dots.select(gl, eye);
        self.dots.paint(gl, CONTACT_COLOUR, CONTACT as f32 * eye.scale);
        self.contacts.draw(gl, Gl::POINTS, 3);
        for cloud in self.overlays.values().filter(|cloud| cloud.visible) {
            self.dots.paint(gl, OVERLAY_COLOUR, cloud.size as f32 * eye.scale);
            cloud.shape.draw(gl, Gl::POINTS, 3);
        }
        gl.bind_vertex_array(None);
    }
}

impl Instances {
    fn new(gl: &Gl, corners: &[f32]) -> Result<Self, JsValue> {
        let mut shape = Shape::new(gl, attributes::POINT_AND_NORMAL)?;
        shape.corners(gl, corners);
        let places = shape.instanced(gl, attributes::PLACE)?;
        Ok(Self { shape, places, count: 0 })
    }

    fn place(&mut self, gl: &Gl, places: &[f32]) {
        self.count = places.len() / PART;
        self.places.fill(gl, Gl::ARRAY_BUFFER, bytemuck::cast_slice(places));
    }

    fn draw(&self, gl: &Gl) {
        self.shape.draw_instances(gl, self.count);
    }
}

/// Where a mesh stands.
fn place(mesh: &Mesh) -> Mat4 {
    let turn = DQuat::from_array(mesh.rotation_xyzw);
    let turn = if turn.length_squared() > 1e-9 { turn.normalize() } else { DQuat::IDENTITY };
    let at = DVec3::from_array(mesh.translation);
    glam::DMat4::from_scale_rotation_translation(DVec3::from_array(mesh.scale), turn, at).as_mat4()
}

const _: () = assert!(CORNER == 9 && PART == 15, "as the attributes below say");
