// node_modules/@d3fc/d3fc-webgl/src/scale/base.js
var base_default = () => {
  let domain = [0, 1];
  let range = [-1, 1];
  const base = () => {
  };
  base.domain = (...args) => {
    if (!args.length) {
      return domain;
    }
    domain = args[0];
    return base;
  };
  base.range = (...args) => {
    if (!args.length) {
      return range;
    }
    range = args[0];
    return base;
  };
  return base;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/bufferBuilder.js
var bufferBuilder_default = () => {
  const attributes = {};
  const uniforms = {};
  let elementIndices = null;
  const bufferBuilder = (programBuilder, program) => {
    const gl = programBuilder.context();
    Object.keys(attributes).forEach((name) => {
      const attribute = attributes[name];
      if (typeof attribute !== "function") {
        throw new Error(
          `Expected an attribute for ${name}, found ${attribute}`
        );
      }
      const location = gl.getAttribLocation(program, name);
      attribute.location(location)(programBuilder);
    });
    Object.keys(uniforms).forEach((name) => {
      const uniform = uniforms[name];
      if (typeof uniform !== "function") {
        throw new Error(
          `Expected a uniform for ${name}, found ${uniform}`
        );
      }
      const location = gl.getUniformLocation(program, name);
      uniform.location(location)(programBuilder);
    });
    if (elementIndices !== null) {
      elementIndices(programBuilder);
    }
  };
  bufferBuilder.flush = () => {
    Object.values(attributes).forEach((attribute) => attribute.clear());
    Object.values(uniforms).forEach((uniform) => uniform.clear());
    if (elementIndices !== null) elementIndices.clear();
  };
  bufferBuilder.attribute = (...args) => {
    if (args.length === 1) {
      return attributes[args[0]];
    }
    attributes[args[0]] = args[1];
    return bufferBuilder;
  };
  bufferBuilder.uniform = (...args) => {
    if (args.length === 1) {
      return uniforms[args[0]];
    }
    uniforms[args[0]] = args[1];
    return bufferBuilder;
  };
  bufferBuilder.elementIndices = (...args) => {
    if (!args.length) {
      return elementIndices;
    }
    elementIndices = args[0];
    return bufferBuilder;
  };
  return bufferBuilder;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/uniform.js
var uniform_default = (initialData) => {
  let location = -1;
  let data = initialData;
  let dirty = true;
  const build = (programBuilder) => {
    if (!dirty) {
      return;
    }
    const gl = programBuilder.context();
    if (Array.isArray(data)) {
      switch (data.length) {
        case 1:
          gl.uniform1fv(location, data);
          break;
        case 2:
          gl.uniform2fv(location, data);
          break;
        case 3:
          gl.uniform3fv(location, data);
          break;
        case 4:
          gl.uniform4fv(location, data);
          break;
        default:
          throw new Error(
            `Uniform supports up to 4 elements. ${data.length} provided.`
          );
      }
    } else {
      gl.uniform1f(location, data);
    }
    dirty = false;
  };
  build.clear = () => {
    dirty = true;
  };
  build.location = (...args) => {
    if (!args.length) {
      return location;
    }
    if (location !== args[0]) {
      location = args[0];
      dirty = true;
    }
    return build;
  };
  build.data = (...args) => {
    if (!args.length) {
      return data;
    }
    data = args[0];
    dirty = true;
    return build;
  };
  return build;
};

// node_modules/@d3fc/d3fc-webgl/src/program/drawModes.js
var drawModes_default = {
  POINTS: 0,
  LINES: 1,
  LINE_LOOP: 2,
  LINE_STRIP: 3,
  TRIANGLES: 4,
  TRIANGLE_STRIP: 5,
  TRIANGLE_FAN: 6
};

// node_modules/@d3fc/d3fc-webgl/src/program/programBuilder.js
var programBuilder_default = () => {
  let context = null;
  let program = null;
  let vertexShader = null;
  let fragmentShader = null;
  let programVertexShader = null;
  let programFragmentShader = null;
  let mode = drawModes_default.TRIANGLES;
  let subInstanceCount = 0;
  let buffers = bufferBuilder_default();
  let debug = false;
  let extInstancedArrays = null;
  let dirty = true;
  let pixelRatio = 1;
  const build = (count) => {
    if (context == null) {
      return;
    }
    const vertexShaderSource = vertexShader();
    const fragmentShaderSource = fragmentShader();
    if (newProgram(program, vertexShaderSource, fragmentShaderSource)) {
      program = createProgram(vertexShaderSource, fragmentShaderSource);
      programVertexShader = vertexShaderSource;
      programFragmentShader = fragmentShaderSource;
      dirty = false;
    }
    context.useProgram(program);
    buffers.uniform(
      "uScreen",
      uniform_default([
        context.canvas.width / pixelRatio,
        context.canvas.height / pixelRatio
      ])
    );
    buffers(build, program);
    if (subInstanceCount === 0) {
      if (buffers.elementIndices() == null) {
        context.drawArrays(mode, 0, count);
      } else {
        context.drawElements(mode, count, context.UNSIGNED_SHORT, 0);
      }
    } else {
      if (buffers.elementIndices() == null) {
        extInstancedArrays.drawArraysInstancedANGLE(
          mode,
          0,
          subInstanceCount,
          count
        );
      } else {
        const elementIndicesLength = buffers.elementIndices().data().length;
        if (subInstanceCount !== elementIndicesLength) {
          throw new Error(
            `Expected elementIndices length ${elementIndicesLength} to match subInstanceCount ${subInstanceCount}.`
          );
        }
        extInstancedArrays.drawElementsInstancedANGLE(
          mode,
          subInstanceCount,
          context.UNSIGNED_SHORT,
          0,
          count
        );
      }
    }
  };
  build.extInstancedArrays = () => extInstancedArrays;
  build.context = (...args) => {
    if (!args.length) {
      return context;
    }
    if (args[0] == null || args[0] !== context) {
      buffers.flush();
      dirty = true;
    }
    if (args[0] != null && args[0] !== context) {
      extInstancedArrays = args[0].getExtension("ANGLE_instanced_arrays");
    }
    context = args[0];
    return build;
  };
  build.buffers = (...args) => {
    if (!args.length) {
      return buffers;
    }
    buffers = args[0];
    return build;
  };
  build.vertexShader = (...args) => {
    if (!args.length) {
      return vertexShader;
    }
    vertexShader = args[0];
    return build;
  };
  build.fragmentShader = (...args) => {
    if (!args.length) {
      return fragmentShader;
    }
    fragmentShader = args[0];
    return build;
  };
  build.mode = (...args) => {
    if (!args.length) {
      return mode;
    }
    mode = args[0];
    return build;
  };
  build.subInstanceCount = (...args) => {
    if (!args.length) {
      return subInstanceCount;
    }
    subInstanceCount = args[0];
    return build;
  };
  build.debug = (...args) => {
    if (!args.length) {
      return debug;
    }
    debug = args[0];
    return build;
  };
  build.pixelRatio = (...args) => {
    if (!args.length) {
      return pixelRatio;
    }
    pixelRatio = args[0];
    return build;
  };
  return build;
  function newProgram(program2, vertexShader2, fragmentShader2) {
    if (!program2 || dirty) {
      return true;
    }
    return vertexShader2 !== programVertexShader || fragmentShader2 !== programFragmentShader;
  }
  function createProgram(vertexShaderSource, fragmentShaderSource) {
    const vertexShader2 = loadShader(
      vertexShaderSource,
      context.VERTEX_SHADER
    );
    const fragmentShader2 = loadShader(
      fragmentShaderSource,
      context.FRAGMENT_SHADER
    );
    const program2 = context.createProgram();
    context.attachShader(program2, vertexShader2);
    context.attachShader(program2, fragmentShader2);
    context.linkProgram(program2);
    if (debug && !context.getProgramParameter(program2, context.LINK_STATUS)) {
      const message = context.getProgramInfoLog(program2);
      context.deleteProgram(program2);
      throw new Error(`Failed to link program : ${message}
            Vertex Shader : ${vertexShaderSource}
            Fragment Shader : ${fragmentShaderSource}`);
    }
    return program2;
  }
  function loadShader(source, type) {
    const shader = context.createShader(type);
    context.shaderSource(shader, source);
    context.compileShader(shader);
    if (debug && !context.getShaderParameter(shader, context.COMPILE_STATUS)) {
      const message = context.getShaderInfoLog(shader);
      context.deleteShader(shader);
      throw new Error(`Failed to compile shader : ${message}
            Shader : ${source}`);
    }
    return shader;
  }
};

// node_modules/@d3fc/d3fc-webgl/src/shaders/shaderBuilder.js
var shaderBuilder_default = (base) => {
  const shaderHeaders = [];
  const shaderBodies = [];
  const build = () => {
    return base(shaderHeaders.join("\n"), shaderBodies.join("\n"));
  };
  function append(array, element) {
    array.push(element);
  }
  function insert(array, element, before) {
    const beforeIndex = array.indexOf(before);
    array.splice(beforeIndex >= 0 ? beforeIndex : array.length, 0, element);
  }
  function appendIfNotExists(array, element) {
    const elementIndex = array.indexOf(element);
    if (elementIndex === -1) {
      array.push(element);
    }
  }
  build.appendHeader = (header) => {
    append(shaderHeaders, header);
    return build;
  };
  build.insertHeader = (header, before) => {
    insert(shaderHeaders, header, before);
    return build;
  };
  build.appendHeaderIfNotExists = (header) => {
    appendIfNotExists(shaderHeaders, header);
    return build;
  };
  build.appendBody = (body) => {
    append(shaderBodies, body);
    return build;
  };
  build.insertBody = (body, before) => {
    insert(shaderBodies, body, before);
    return build;
  };
  build.appendBodyIfNotExists = (body) => {
    appendIfNotExists(shaderBodies, body);
    return build;
  };
  return build;
};
var vertexShaderBase = (header, body) => `
precision mediump float;
float inf = 1.0 / 0.0;
${header}
void main() {
    ${body}
}`;
var fragmentShaderBase = (header, body) => `
precision mediump float;
${header}
void main() {
    gl_FragColor = vec4(0.0, 0.0, 0.0, 1.0);
    ${body}
}`;

// node_modules/@d3fc/d3fc-webgl/src/shaders/vertexShaderSnippets.js
var fillColor = {
  header: `attribute vec4 aFillColor;
             varying vec4 vFillColor;`,
  body: `vFillColor = aFillColor;`
};
var circle = {
  header: `
        attribute float aCrossValue;
        attribute float aMainValue;
        attribute float aSize;
        attribute float aDefined;

        uniform float uStrokeWidth;

        varying float vSize;
        varying float vDefined;`,
  body: `
        vDefined = aDefined;
        vSize = 2.0 * sqrt(aSize / 3.14159);
        gl_PointSize = vSize + uStrokeWidth + 1.0;
        gl_Position = vec4(aCrossValue, aMainValue, 0, 1);`
};

// node_modules/@d3fc/d3fc-webgl/src/shaders/fragmentShaderSnippets.js
var circle2 = {
  header: `
        varying float vSize;
        varying float vDefined;`,
  body: `
        float canFill = 1.0;
        float distance = length(2.0 * gl_PointCoord - 1.0);
        float canStroke = smoothstep(vSize - 2.0, vSize, distance * vSize);
        if (distance > 1.0 || vDefined < 0.5) {
            discard;
            return;
        }`
};
var fillColor2 = {
  header: `varying vec4 vFillColor;`,
  body: `gl_FragColor = (canFill * vFillColor) + ((1.0 - canFill) * gl_FragColor);`
};

// node_modules/@d3fc/d3fc-webgl/src/shaders/point/circle/baseShader.js
var baseShader_default = () => {
  const vertexShader = shaderBuilder_default(vertexShaderBase);
  const fragmentShader = shaderBuilder_default(fragmentShaderBase);
  vertexShader.appendHeader(circle.header).appendBody(circle.body);
  fragmentShader.appendHeader(circle2.header).appendBody(circle2.body);
  return {
    vertex: () => vertexShader,
    fragment: () => fragmentShader
  };
};

// node_modules/@d3fc/d3fc-rebind/src/createReboundMethod.js
var createReboundMethod_default = (target, source, name) => {
  const method = source[name];
  if (typeof method !== "function") {
    throw new Error(`Attempt to rebind ${name} which isn't a function on the source object`);
  }
  return (...args) => {
    var value = method.apply(source, args);
    return value === source ? target : value;
  };
};

// node_modules/@d3fc/d3fc-rebind/src/rebind.js
var rebind_default = (target, source, ...names) => {
  for (const name of names) {
    target[name] = createReboundMethod_default(target, source, name);
  }
  return target;
};

// node_modules/@d3fc/d3fc-rebind/src/rebindAll.js
var createTransform = (transforms) => (name) => transforms.reduce(
  (name2, fn) => name2 && fn(name2),
  name
);
var rebindAll_default = (target, source, ...transforms) => {
  const transform = createTransform(transforms);
  for (const name of Object.keys(source)) {
    const result = transform(name);
    if (result) {
      target[result] = createReboundMethod_default(target, source, name);
    }
  }
  return target;
};

// node_modules/@d3fc/d3fc-webgl/src/rebindCurry.js
var rebindCurry_default = (target, targetName, source, sourceName, ...curriedArgs) => {
  target[targetName] = (...args) => {
    const result = source[sourceName](...curriedArgs, ...args);
    if (result === source) {
      return target;
    }
    return result;
  };
};

// node_modules/@d3fc/d3fc-webgl/src/series/point.js
var point_default = () => {
  const program = programBuilder_default().mode(drawModes_default.POINTS);
  let xScale = base_default();
  let yScale = base_default();
  let type = baseShader_default();
  let decorate = () => {
  };
  const draw = (numElements) => {
    program.vertexShader(type.vertex()).fragmentShader(type.fragment());
    xScale(program, "gl_Position", 0);
    yScale(program, "gl_Position", 1);
    decorate(program);
    program(numElements);
  };
  draw.type = (...args) => {
    if (!args.length) {
      return type;
    }
    type = args[0];
    return draw;
  };
  draw.decorate = (...args) => {
    if (!args.length) {
      return decorate;
    }
    decorate = args[0];
    return draw;
  };
  draw.xScale = (...args) => {
    if (!args.length) {
      return xScale;
    }
    xScale = args[0];
    return draw;
  };
  draw.yScale = (...args) => {
    if (!args.length) {
      return yScale;
    }
    yScale = args[0];
    return draw;
  };
  rebind_default(draw, program, "context", "pixelRatio");
  rebindCurry_default(
    draw,
    "crossValueAttribute",
    program.buffers(),
    "attribute",
    "aCrossValue"
  );
  rebindCurry_default(
    draw,
    "mainValueAttribute",
    program.buffers(),
    "attribute",
    "aMainValue"
  );
  rebindCurry_default(draw, "sizeAttribute", program.buffers(), "attribute", "aSize");
  rebindCurry_default(
    draw,
    "definedAttribute",
    program.buffers(),
    "attribute",
    "aDefined"
  );
  return draw;
};

// node_modules/@d3fc/d3fc-webgl/src/scale/linear.js
var linear_default = () => {
  const base = base_default();
  const prefix = (component) => `linear${component}`;
  const scale = (programBuilder, identifier, component) => {
    programBuilder.vertexShader().appendHeaderIfNotExists(`uniform vec4 ${prefix(component)}Offset;`).appendHeaderIfNotExists(`uniform vec4 ${prefix(component)}Scale;`).appendBody(
      `${identifier} = ${identifier} + ${prefix(component)}Offset;`
    ).appendBody(
      `${identifier} = ${identifier} * ${prefix(component)}Scale;`
    );
    const domainSize = base.domain()[1] - base.domain()[0];
    const rangeSize = base.range()[1] - base.range()[0];
    const translate = base.range()[0] * (domainSize / rangeSize) - base.domain()[0];
    const scaleFactor = rangeSize / domainSize;
    const offset = [0, 0, 0, 0];
    const scale2 = [1, 1, 1, 1];
    offset[component] = translate;
    scale2[component] = scaleFactor;
    programBuilder.buffers().uniform(`${prefix(component)}Offset`, uniform_default(offset)).uniform(`${prefix(component)}Scale`, uniform_default(scale2));
  };
  rebindAll_default(scale, base);
  return scale;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/types.js
var types = {
  BYTE: 5120,
  UNSIGNED_BYTE: 5121,
  SHORT: 5122,
  UNSIGNED_SHORT: 5123,
  FLOAT: 5126
};
var types_default = types;
function getArrayViewConstructor(type) {
  switch (type) {
    case types.BYTE:
      return Int8Array;
    case types.UNSIGNED_BYTE:
      return Uint8Array;
    case types.SHORT:
      return Int16Array;
    case types.UNSIGNED_SHORT:
      return Uint16Array;
    case types.FLOAT:
      return Float32Array;
    default:
      throw new Error(`Unknown type ${type}`);
  }
}

// node_modules/@d3fc/d3fc-webgl/src/buffer/baseAttribute.js
var baseAttribute_default = () => {
  let location = -1;
  let buffer = null;
  let size = 1;
  let type = types_default.FLOAT;
  let normalized = false;
  let stride = 0;
  let offset = 0;
  let divisor = null;
  const baseAttribute = (programBuilder) => {
    const gl = programBuilder.context();
    if (buffer == null) {
      buffer = gl.createBuffer();
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.vertexAttribPointer(
      location,
      size,
      type,
      normalized,
      stride,
      offset
    );
    gl.enableVertexAttribArray(location);
    const extInstancedArrays = programBuilder.extInstancedArrays();
    extInstancedArrays.vertexAttribDivisorANGLE(
      location,
      divisor != null ? divisor : programBuilder.subInstanceCount() > 0 ? 1 : 0
    );
  };
  baseAttribute.location = (...args) => {
    if (!args.length) {
      return location;
    }
    location = args[0];
    return baseAttribute;
  };
  baseAttribute.buffer = (...args) => {
    if (!args.length) {
      return buffer;
    }
    buffer = args[0];
    return baseAttribute;
  };
  baseAttribute.size = (...args) => {
    if (!args.length) {
      return size;
    }
    size = args[0];
    return baseAttribute;
  };
  baseAttribute.type = (...args) => {
    if (!args.length) {
      return type;
    }
    type = args[0];
    return baseAttribute;
  };
  baseAttribute.normalized = (...args) => {
    if (!args.length) {
      return normalized;
    }
    normalized = args[0];
    return baseAttribute;
  };
  baseAttribute.stride = (...args) => {
    if (!args.length) {
      return stride;
    }
    stride = args[0];
    return baseAttribute;
  };
  baseAttribute.offset = (...args) => {
    if (!args.length) {
      return offset;
    }
    offset = args[0];
    return baseAttribute;
  };
  baseAttribute.divisor = (...args) => {
    if (!args.length) {
      return divisor;
    }
    divisor = args[0];
    return baseAttribute;
  };
  return baseAttribute;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/arrayViewFactory.js
var arrayViewFactory_default = () => {
  let type = types_default.FLOAT;
  let cachedArray = new Float32Array(0);
  const factory = (requiredLength) => {
    const ArrayType = getArrayViewConstructor(type);
    if (cachedArray.length > requiredLength) {
      cachedArray = new ArrayType(cachedArray.buffer, 0, requiredLength);
    } else if (cachedArray.length !== requiredLength) {
      cachedArray = new ArrayType(requiredLength);
    }
    return cachedArray;
  };
  factory.type = (...args) => {
    if (!args.length) {
      return type;
    }
    if (type !== args[0]) {
      type = args[0];
      const ArrayType = getArrayViewConstructor(type);
      cachedArray = new ArrayType(0);
    }
    return factory;
  };
  return factory;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/attributeProjector.js
var attributeProjector_default = () => {
  let dirty = true;
  let size = 1;
  let type = types_default.FLOAT;
  let arrayViewFactory = arrayViewFactory_default();
  let value = (d, i) => d;
  let data = null;
  const projector = () => {
    const length = data.length;
    const projectedData = arrayViewFactory.type(type)(length * size);
    if (size > 1) {
      for (let i = 0; i < length; i++) {
        const componentValues = value(data[i], i);
        if (componentValues.length !== size) {
          throw new Error(
            `Expected components array of size ${size}, recieved array with length ${componentValues.length}.`
          );
        }
        for (let component = 0; component < size; component++) {
          projectedData[i * size + component] = componentValues[component];
        }
      }
    } else {
      for (let i = 0; i < length; i++) {
        const componentValue = value(data[i], i);
        if (Array.isArray(componentValue)) {
          throw new Error(
            `Expected a single component value, recieved array with length ${componentValue.length}.`
          );
        }
        projectedData[i] = componentValue;
      }
    }
    dirty = false;
    return projectedData;
  };
  projector.dirty = () => dirty;
  projector.clear = () => {
    dirty = true;
  };
  projector.size = (...args) => {
    if (!args.length) {
      return size;
    }
    size = args[0];
    dirty = true;
    return projector;
  };
  projector.type = (...args) => {
    if (!args.length) {
      return type;
    }
    type = args[0];
    dirty = true;
    return projector;
  };
  projector.arrayViewFactory = (...args) => {
    if (!args.length) {
      return arrayViewFactory;
    }
    arrayViewFactory = args[0];
    dirty = true;
    return projector;
  };
  projector.value = (...args) => {
    if (!args.length) {
      return value;
    }
    value = args[0];
    dirty = true;
    return projector;
  };
  projector.data = (...args) => {
    if (!args.length) {
      return data;
    }
    data = args[0];
    dirty = true;
    return projector;
  };
  return projector;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/attribute.js
var attribute_default = () => {
  const base = baseAttribute_default();
  const projector = attributeProjector_default();
  const attribute = (programBuilder) => {
    base.size(attribute.size()).type(attribute.type());
    base(programBuilder);
    if (!projector.dirty()) {
      return;
    }
    const projectedData = projector();
    const gl = programBuilder.context();
    gl.bindBuffer(gl.ARRAY_BUFFER, base.buffer());
    gl.bufferData(gl.ARRAY_BUFFER, projectedData, gl.DYNAMIC_DRAW);
  };
  attribute.clear = () => {
    base.buffer(null);
    projector.clear();
  };
  rebind_default(attribute, base, "normalized", "location", "divisor");
  rebind_default(attribute, projector, "data", "value", "size", "type");
  return attribute;
};

// node_modules/@d3fc/d3fc-webgl/src/buffer/constantAttribute.js
var constantAttribute_default = (initialValue) => {
  const base = baseAttribute_default().divisor(1);
  let value = initialValue;
  let dirty = true;
  const constantAttribute = (programBuilder) => {
    base(programBuilder);
    if (!dirty) {
      return;
    }
    if (!Array.isArray(value)) {
      throw new Error(`Expected an array, received: ${value}`);
    }
    if (value.length !== base.size()) {
      throw new Error(
        `Expected array of length: ${base.size()}, recieved array of length: ${value.length}`
      );
    }
    const gl = programBuilder.context();
    gl[`vertexAttrib${value.length}fv`](base.location(), value);
    gl.disableVertexAttribArray(base.location());
    dirty = false;
  };
  constantAttribute.clear = () => {
    dirty = true;
  };
  constantAttribute.value = (...args) => {
    if (!args.length) {
      return value;
    }
    value = args[0];
    dirty = true;
    return constantAttribute;
  };
  rebind_default(constantAttribute, base, "normalized", "size", "location");
  return constantAttribute;
};

// node_modules/@d3fc/d3fc-webgl/src/style/fillColor.js
var fillColor_default = (initialValue = [0, 0, 0, 1]) => {
  const projectedAttribute = attribute_default().size(4);
  let value = initialValue;
  let dirty = true;
  const fillColor3 = (programBuilder) => {
    programBuilder.vertexShader().appendHeaderIfNotExists(fillColor.header).appendBodyIfNotExists(fillColor.body);
    programBuilder.fragmentShader().appendHeaderIfNotExists(fillColor2.header).appendBodyIfNotExists(fillColor2.body);
    if (Array.isArray(value)) {
      programBuilder.buffers().attribute("aFillColor", constantAttribute_default(value).size(4));
    } else if (typeof value === "function") {
      if (!dirty) {
        return;
      }
      projectedAttribute.value(value);
      programBuilder.buffers().attribute("aFillColor", projectedAttribute);
    } else {
      throw new Error(
        `Expected value to be an array or function, received ${value}`
      );
    }
    dirty = false;
  };
  fillColor3.value = (...args) => {
    if (!args.length) {
      return value;
    }
    if (value !== args[0]) {
      value = args[0];
      dirty = true;
    }
    return fillColor3;
  };
  rebind_default(fillColor3, projectedAttribute, "data");
  return fillColor3;
};
export {
  attribute_default as webglAttribute,
  baseShader_default as webglCirclePoint,
  fillColor_default as webglFillColor,
  linear_default as webglScaleLinear,
  point_default as webglSeriesPoint
};
