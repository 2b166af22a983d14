// The points by WebGL, through d3fc.

import {
  webglAttribute,
  webglCirclePoint,
  webglFillColor,
  webglScaleLinear,
  webglSeriesPoint,
} from "./vendor/d3fc-webgl.js";

export class WebglPoints {
  // null where the browser has no WebGL, or draws it on the processor, which the pixels of points-canvas.js do faster
  static on(canvas, evenSlow = false) {
    const gl = canvas.getContext("webgl", {
      antialias: false,
      premultipliedAlpha: false,
      failIfMajorPerformanceCaveat: !evenSlow,
    });
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
    this.n = positions.length / 2;
    this.diameter = null;
    const each = { length: this.n }; // d3fc asks for a value by its place
    this.attributes.x.value((_, i) => positions[2 * i]).data(each);
    this.attributes.y.value((_, i) => positions[2 * i + 1]).data(each);
  }

  // classes: of each point, an index into colours [[r, g, b], ...] from the last place on, where no label stands
  setColours(classes, colours) {
    const known = colours.map((colour) => [...colour, 0.85]);
    this.fill.value((_, i) => known[classes[i]]).data(classes);
  }

  setVisible(visible) {
    this.attributes.defined.value((_, i) => visible[i]).data(visible);
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
      this.attributes.size.value(() => area).data({ length: this.n });
    }
    this.x.domain([view.left, view.right]);
    this.y.domain([view.bottom, view.top]);
    this.series.type(webglCirclePoint()); // anew: a draw adds its scales to the shader's text
    this.series(this.n);
  }
}
