// A graph of what was kept, of our own: a line with the least and the greatest around it, bars for meters, bands for yes and
// no. It is read by pointer and by keys, and it has a table.
import { type PointerEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import type { History, HistoryPoint } from "../api/types";
import { moment } from "../format";
import { Icon } from "./icons";

const HEIGHT = 180;
const PAD = { top: 10, right: 8, bottom: 22, left: 44 };

/** Where lines are drawn across: at most five round numbers that hold all of `min` to `max`. */
export function ticks(min: number, max: number): number[] {
  const spread = max - min || Math.abs(max) || 1;
  const rough = spread / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? 10 * power;
  const first = Math.floor(min / step) * step;
  const all: number[] = [];
  for (let at = first; all.length < 6; at += step) {
    all.push(Number(at.toFixed(10)));
    if (at >= max && all.length > 1) break;
  }
  return all;
}

/** Runs of points with nothing missing between them: a gap is a gap, not a line. */
export function runs(points: HistoryPoint[], step: number | null): HistoryPoint[][] {
  const all: HistoryPoint[][] = [];
  let before = 0;
  for (const point of points) {
    const at = Date.parse(point.time);
    if (step && before && at - before <= step * 2_500) all.at(-1)!.push(point);
    else if (!step && before) all.at(-1)!.push(point);
    else all.push([point]);
    before = at;
  }
  return all;
}

const spoken = (value: number) => value.toLocaleString(undefined, { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2 });

/** Where the time is told below: round hours, days or months of the owner's own clock between `from` and `to` (milliseconds since 1970), about `most` of them. */
export function moments(from: number, to: number, most: number): number[] {
  const rough = (to - from) / Math.max(1, most);
  const fits = (steps: number[], unit: number) => steps.find((one) => one * unit >= rough);
  const hours = fits([1, 2, 3, 4, 6, 12], 3_600_000);
  const days = fits([1, 2, 3, 4, 5, 7, 14], 86_400_000);
  const months = fits([1, 2, 3, 6, 12], 30 * 86_400_000) ?? 24;
  const at = new Date(from);
  at.setHours(hours ? Math.floor(at.getHours() / hours) * hours : 0, 0, 0, 0);
  if (!hours && !days) at.setMonth(Math.floor(at.getMonth() / months) * months, 1);
  const all: number[] = [];
  while (at.getTime() <= to && all.length < 64) {
    if (at.getTime() >= from) all.push(at.getTime());
    if (hours) at.setHours(at.getHours() + hours);
    else if (days) at.setDate(at.getDate() + days);
    else at.setMonth(at.getMonth() + months);
  }
  return all;
}

function timeLabel(at: number, span: number): string {
  const date = new Date(at);
  if (span <= 2 * 86_400_000) return date.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });
  return date.toLocaleDateString(undefined, span <= 14 * 86_400_000 ? { weekday: "short" } : span <= 90 * 86_400_000 ? { day: "numeric", month: "short" } : { month: "short" });
}

export function Chart({ history, label, unit, words }: { history: History; label: string; unit: string; words?: [yes: string, no: string] }) {
  const { points, kind, step_s: step } = history;
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  const [at, setAt] = useState<number | null>(null);
  const id = useId();
  useEffect(() => {
    const root = box.current;
    if (!root) return undefined;
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(200, Math.round(entry.contentRect.width))));
    watch.observe(root);
    return () => watch.disconnect();
  }, []);
  const from = Date.parse(history.from);
  const to = Math.max(Date.parse(history.to), from + 1);
  const value = (point: HistoryPoint) => (kind === "meter" ? (point.grown ?? 0) : point.mean);
  const scale = useMemo(() => {
    if (kind === "switch") return { low: 0, high: 1, lines: [] as number[] };
    const lowest = kind === "meter" ? 0 : Math.min(...points.map((one) => one.min));
    const highest = kind === "meter" ? Math.max(...points.map((one) => one.grown ?? 0), 1e-9) : Math.max(...points.map((one) => one.max));
    const lines = ticks(lowest, highest);
    return { low: Math.min(lowest, lines[0]!), high: Math.max(highest, lines.at(-1)!), lines };
  }, [points, kind]);
  const x = (time: number) => PAD.left + ((time - from) / (to - from)) * (width - PAD.left - PAD.right);
  const y = (v: number) => PAD.top + (1 - (v - scale.low) / (scale.high - scale.low || 1)) * (HEIGHT - PAD.top - PAD.bottom);
  const n = (v: number) => v.toFixed(1);
  const middle = (point: HistoryPoint) => x(Math.min(to, Date.parse(point.time) + (step ?? 0) * 500));
  const says = (point: HistoryPoint) => {
    if (kind === "switch") return step ? (point.mean >= 0.995 ? (words?.[0] ?? "Yes") : point.mean <= 0.005 ? (words?.[1] ?? "No") : `${words?.[0] ?? "Yes"} for ${Math.round(point.mean * 100)} % of it`) : point.mean > 0.5 ? (words?.[0] ?? "Yes") : (words?.[1] ?? "No");
    if (kind === "meter") return `${spoken(point.grown ?? 0)} ${unit}`;
    return `${spoken(point.mean)} ${unit}${step && point.max - point.min > 0.01 ? `, ${spoken(point.min)} to ${spoken(point.max)}` : ""}`;
  };
  const nearest = (event: PointerEvent) => {
    const left = event.clientX - event.currentTarget.getBoundingClientRect().left;
    let best = 0;
    for (let one = 1; one < points.length; one += 1) if (Math.abs(middle(points[one]!) - left) < Math.abs(middle(points[best]!) - left)) best = one;
    setAt(best);
  };
  const keys = (event: React.KeyboardEvent) => {
    const here = at ?? points.length;
    const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: points.length - 1, PageUp: here - 10, PageDown: here + 10 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(points.length - 1, next)));
  };
  const parts = useMemo(() => runs(points, step), [points, step]);
  const least = points.reduce((low, one) => Math.min(low, one.min), Infinity);
  const most = points.reduce((high, one) => Math.max(high, one.max), -Infinity);
  const summary = kind === "level" ? `From ${spoken(least)} to ${spoken(most)} ${unit}.` : kind === "meter" && history.total !== null ? `${spoken(history.total)} ${unit} in all.` : "";
  const cursor = at === null ? null : points[at];
  const wanted = Math.max(2, Math.min(8, Math.floor((width - PAD.left) / (to - from <= 2 * 86_400_000 ? 84 : 64))));
  const edge = (time: number) => (x(time) > width - 26 ? "end" : "middle");
  const barWidth = Math.max(1.5, ((step ?? 3600) * 1000 * (width - PAD.left - PAD.right)) / (to - from) - 1.5);
  return (
    <figure className="chart" ref={box}>
      <figcaption className="chart-said tabular">{cursor ? <><strong>{says(cursor)}</strong> <span className="hint">{moment(cursor.time)}</span></> : <span className="hint">{summary || " "}</span>}</figcaption>
      <div className="chart-keys" role="slider" tabIndex={0} aria-label={`${label}: ${summary} Move along it with the arrow keys`} aria-valuemin={0} aria-valuemax={Math.max(0, points.length - 1)} aria-valuenow={at ?? Math.max(0, points.length - 1)}
        aria-valuetext={cursor ? `${says(cursor)}, ${moment(cursor.time)}` : summary || "not looked at yet"} onKeyDown={keys} onBlur={() => setAt(null)}>
        <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} aria-hidden="true" onPointerMove={nearest} onPointerDown={nearest} onPointerLeave={() => setAt(null)}>
          {scale.lines.map((line) => (
            <g key={line}>
              <line className="chart-line" x1={PAD.left} x2={width - PAD.right} y1={y(line)} y2={y(line)} />
              <text className="chart-text" x={PAD.left - 6} y={y(line) + 4} textAnchor="end">{spoken(line)}</text>
            </g>
          ))}
          {moments(from, to, wanted).map((time) => <text key={time} className="chart-text" x={x(time)} y={HEIGHT - 5} textAnchor={edge(time)}>{timeLabel(time, to - from)}</text>)}
          {kind === "level" && parts.map((run, part) => (
            <g key={part}>
              {step && run.length > 1 && <path className="chart-band" d={`M${run.map((one) => `${n(middle(one))} ${n(y(one.max))}`).join("L")}L${[...run].reverse().map((one) => `${n(middle(one))} ${n(y(one.min))}`).join("L")}Z`} />}
              {run.length > 1 ? <path className="chart-path" d={`M${run.map((one) => `${n(middle(one))} ${n(y(one.mean))}`).join("L")}`} /> : <circle className="chart-dot" cx={middle(run[0]!)} cy={y(run[0]!.mean)} r="2.5" />}
            </g>
          ))}
          {kind === "meter" && points.map((one) => <rect key={one.time} className="chart-bar" x={middle(one) - barWidth / 2} width={barWidth} y={y(one.grown ?? 0)} height={Math.max(0, y(0) - y(one.grown ?? 0))} rx="1.5" />)}
          {kind === "switch" && <rect className="chart-off" x={PAD.left} y={HEIGHT / 2 - 18} width={width - PAD.left - PAD.right} height="36" rx="6" />}
          {kind === "switch" && points.map((one, part) => {
            const begin = x(Date.parse(one.time));
            const end = step ? x(Math.min(to, Date.parse(one.time) + step * 1000)) : x(part + 1 < points.length ? Date.parse(points[part + 1]!.time) : to);
            return one.mean > 0.005 && <rect key={one.time} className="chart-on" x={begin} width={Math.max(1.5, end - begin)} y={HEIGHT / 2 - 18} height="36" opacity={step ? 0.25 + 0.75 * one.mean : 1} />;
          })}
          {cursor && <line className="chart-cursor" x1={middle(cursor)} x2={middle(cursor)} y1={PAD.top} y2={HEIGHT - PAD.bottom} />}
          {cursor && kind === "level" && <circle className="chart-dot" cx={middle(cursor)} cy={y(value(cursor))} r="4" />}
        </svg>
      </div>
      <Table id={id} label={label} points={points} says={says} />
    </figure>
  );
}

const ROWS = 200;
function Table({ id, label, points, says }: { id: string; label: string; points: HistoryPoint[]; says: (point: HistoryPoint) => string }) {
  const [open, setOpen] = useState(false);
  const [rows, setRows] = useState(ROWS);
  return (
    <details className="fold small" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary><Icon name="right" />As a table</summary>
      {open && (
        <div className="chart-table" tabIndex={0} role="region" aria-label={`${label} as a table`}>
          <table id={id}>
            <thead><tr><th scope="col">Time</th><th scope="col">{label}</th></tr></thead>
            <tbody>{[...points].reverse().slice(0, rows).map((one) => <tr key={one.time}><td>{moment(one.time)}</td><td className="tabular">{says(one)}</td></tr>)}</tbody>
          </table>
          {points.length > rows && <button type="button" className="link" onClick={() => setRows(rows + 5 * ROWS)}>Show more</button>}
        </div>
      )}
    </details>
  );
}

/** A small line without words, for a tile. */
export function Spark({ history }: { history: History }) {
  const { points, kind } = history;
  const from = Date.parse(history.from);
  const to = Math.max(Date.parse(history.to), from + 1);
  const paths = useMemo(() => {
    if (kind !== "level" || points.length < 3) return [];
    const low = Math.min(...points.map((one) => one.mean));
    const high = Math.max(...points.map((one) => one.mean));
    const y = (value: number) => (high - low < 1e-9 ? 14 : 3 + (1 - (value - low) / (high - low)) * 22);
    return runs(points, history.step_s).filter((run) => run.length > 1).map((run) => `M${run.map((one) => `${(((Date.parse(one.time) - from) / (to - from)) * 100).toFixed(1)} ${y(one.mean).toFixed(1)}`).join("L")}`);
  }, [points, kind, from, to, history.step_s]);
  if (paths.length === 0) return null;
  return <svg className="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">{paths.map((one) => <path key={one} d={one} />)}</svg>;
}
