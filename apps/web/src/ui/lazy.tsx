// Long grids of which only what is near the window is drawn. What is away keeps its place by its height.
import { type ReactNode, useEffect, useRef, useState } from "react";

/** So many are drawn or left out together: full rows of one to four columns. */
const CHUNK = 24;

let watch: IntersectionObserver | null = null;
const watched = new WeakMap<Element, (near: boolean) => void>();
function observe(element: Element, told: (near: boolean) => void) {
  watch ??= new IntersectionObserver((entries) => entries.forEach((one) => watched.get(one.target)?.(one.isIntersecting)), { rootMargin: "900px 0px" });
  watched.set(element, told);
  watch.observe(element);
  return () => watch?.unobserve(element);
}

/** `wide` and `tall` of one of them are a guess, until they were drawn once. */
export function LazyGrid<T>({ of, className, wide, tall, children }: { of: T[]; className: string; wide: number; tall: number; children: (one: T) => ReactNode }) {
  const chunks = Math.ceil(of.length / CHUNK);
  return <>{Array.from({ length: chunks }, (_, at) => <Chunk key={at} of={of.slice(at * CHUNK, (at + 1) * CHUNK)} className={className} wide={wide} tall={tall}>{children}</Chunk>)}</>;
}

function Chunk<T>({ of, className, wide, tall, children }: { of: T[]; className: string; wide: number; tall: number; children: (one: T) => ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  const [near, setNear] = useState(false);
  const height = useRef<number | null>(null);
  useEffect(() => {
    const root = box.current!;
    return observe(root, (now) => {
      // What holds the focus stays.
      if (!now && root.contains(document.activeElement)) return;
      if (!now && root.childElementCount > 0) height.current = root.offsetHeight;
      setNear(now);
    });
  }, []);
  const columns = Math.max(1, Math.floor((box.current?.offsetWidth ?? 1000) / wide));
  return <div ref={box} className={className} style={near ? undefined : { height: height.current ?? Math.ceil(of.length / columns) * tall }}>{near && of.map(children)}</div>;
}
