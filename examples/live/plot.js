// Curves on a canvas: axes, a few ticks, and a line for each run.
const MARGIN = { left: 64, right: 16, top: 12, bottom: 28 };
const TICKS = 5;

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

function extent(values) {
  const [low, high] = values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

// curves: [{colour, points: [[x, y], …]}], points in order of x.
export function plot(canvas, curves, { logarithmic, ink, faint }) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif";

  const bent = logarithmic ? Math.log10 : (y) => y;
  const straight = logarithmic ? (y) => 10 ** y : (y) => y;
  const drawn = curves.map(({ colour, points }) => ({
    colour,
    points: points.map(([x, y]) => [x, bent(y)]).filter(([, y]) => Number.isFinite(y)),
  }));
  const all = drawn.flatMap(({ points }) => points);
  if (!all.length) return;
  const [left, right] = extent(all.map(([x]) => x));
  const [low, high] = extent(all.map(([, y]) => y));
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const across = (x) => MARGIN.left + ((x - left) / (right - left)) * inner.width;
  const down = (y) => MARGIN.top + ((high - y) / (high - low)) * inner.height;

  pen.fillStyle = ink;
  pen.strokeStyle = faint;
  for (let n = 0; n < TICKS; n++) {
    const y = low + ((high - low) * n) / (TICKS - 1);
    const x = left + ((right - left) * n) / (TICKS - 1);
    pen.textAlign = "right";
    pen.fillText(short.format(straight(y)), MARGIN.left - 8, down(y) + 4);
    pen.textAlign = n === TICKS - 1 ? "right" : "center";
    pen.fillText(short.format(Math.round(x)), across(x), height - 8);
    pen.beginPath();
    pen.moveTo(MARGIN.left, down(y));
    pen.lineTo(width - MARGIN.right, down(y));
    pen.stroke();
  }
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  for (const { colour, points } of drawn) {
    pen.strokeStyle = colour;
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(across(x), down(y));
    pen.stroke();
  }
}
