// The points by WebGL, through d3fc.

import {
  webglAttribute,
  webglCirclePoint,
  webglFillColor,
  webglScaleLinear,
  webglSeriesPoint,
} from "./vendor/d3fc-webgl.js";
import { unlabelledFirst } from "./points-canvas.js";

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

// Detects software WebGL by the renderer's name: `failIfMajorPerformanceCaveat` does not exclude Chromium's.
function isSoftware() {
  const gl = document.createElement("canvas").getContext("webgl");
  const about = gl?.getExtension("WEBGL_debug_renderer_info");
  return SOFTWARE.test(about ? gl.getParameter(about.UNMASKED_RENDERER_WEBGL) : "");
}

export class WebglPoints {
  // null if the browser has no WebGL, or only in software, which is slower than points-canvas.js
  static on(canvas, evenSlow = false) {
    if (!evenSlow && isSoftware()) return null;
    const gl = canvas.getContext("webgl", { antialias: false, premultipliedAlpha: false });
    return gl && new WebglPoints(canvas, gl);
  }

  constructor(canvas, gl) {
    this.name = "WebGL";
    this.canvas = canvas;
    this.gl = gl;
    this.x = webglScaleLinear();
    this.y = webglScaleLinear();
    this.fill = webglFillColor();
    this.attributes = {
      x: webglAttribute(),
      y: webglAttribute(),
      size: webglAttribute(),
      defined: webglAttribute(),
    };
    this.series = webglSeriesPoint()
      .context(gl)
      .xScale(this.x)
      .yScale(this.y)
      .crossValueAttribute(this.attributes.x)
      .mainValueAttribute(this.attributes.y)
      .sizeAttribute(this.attributes.size)
      .definedAttribute(this.attributes.defined)
      .decorate((program) => this.fill(program));
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.clearColor(0, 0, 0, 0);
  }

  setPositions(positions) {
    this.positions = positions;
    this.n = positions.length / 2;
    this.diameter = null;
    this.#place();
  }

  // classes: of each point, an index into colours [[r, g, b], ...], the last is for unlabelled points
  setColours(classes, colours) {
    const known = colours.map((colour) => [...colour, 0.85]);
    this.order = unlabelledFirst(classes, colours.length - 1);
    this.fill.value((point) => known[classes[point]]).data(this.order);
    this.#place();
    if (this.visible) this.setVisible(this.visible);
  }

  setVisible(visible) {
    this.visible = visible;
    this.attributes.defined.value((point) => visible[point]).data(this.order);
  }

  // Each attribute is evaluated for each point, in drawing order.
  #place() {
    const { positions, order } = this;
    if (!positions || !order) return;
    this.attributes.x.value((point) => positions[2 * point]).data(order);
    this.attributes.y.value((point) => positions[2 * point + 1]).data(order);
  }

  // view: the data at the left, right, bottom and top edges; diameter in device pixels
  draw(view, diameter) {
    const { gl } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.n) return;
    if (diameter !== this.diameter) {
      this.diameter = diameter;
      const area = Math.PI * ((diameter - 1) / 2) ** 2; // d3fc adds a pixel to the diameter
      this.attributes.size.value(() => area).data(this.order);
    }
    this.x.domain([view.left, view.right]);
    this.y.domain([view.bottom, view.top]);
    this.series.type(webglCirclePoint()); // created anew: every draw appends its scales to the shader source
    this.series(this.n);
  }
}
