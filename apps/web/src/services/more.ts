// What no standard service names (`more`), as far as a person looks at it: the weather, and things of one value.
import type { Property, Service } from "../api/types";
import type { IconName } from "../ui/icons";
import { shown, text } from "./model";

export const isMore = ({ id }: Service) => id === "more";
/** What of it is for looking at and setting, not for its settings and details. */
export const mainOf = (service: Service): Property[] => service.properties.filter((one) => one.role === "primary");
/** Whether there is something of it to look at or to press. */
export const saysMore = (service: Service): boolean => isMore(service) && (mainOf(service).length > 0 || (service.properties.length === 0 && service.actions.length > 0));

/** As Home Assistant calls it (developers.home-assistant.io/docs/core/entity/weather), and others after it. */
const CONDITIONS: Record<string, [IconName, string]> = {
  "clear-night": ["moon", "Clear"], cloudy: ["cloud", "Cloudy"], exceptional: ["warning", "Exceptional"], fog: ["fog", "Fog"], hail: ["snow", "Hail"], lightning: ["storm", "Thunder"],
  "lightning-rainy": ["storm", "Thunder and rain"], partlycloudy: ["cloudy", "Partly cloudy"], pouring: ["rain", "Pouring"], rainy: ["rain", "Rain"], snowy: ["snow", "Snow"],
  "snowy-rainy": ["snow", "Snow and rain"], sunny: ["sun", "Sunny"], windy: ["air", "Windy"], "windy-variant": ["air", "Windy, clouds"],
};

export interface Weather {
  icon: IconName;
  /** What is the weather like, in words; `null` when nothing was said. */
  words: string | null;
  /** The property of that. */
  condition: Property;
  temperature: Property | undefined;
  /** What else is known of it, what is asked for most first. */
  rest: Property[];
}

const REST = ["apparent-temperature", "humidity", "wind-speed", "wind-gust-speed", "wind-bearing", "pressure", "cloud-coverage", "dew-point", "uv-index", "visibility"];
/** The weather that a service tells, when it tells one: its properties stand together under one beginning. */
export function weatherOf(service: Service): Weather | null {
  if (!isMore(service)) return null;
  for (const condition of service.properties) {
    if (condition.format !== "text" || condition.write || !/(^|-)condition$/.test(condition.id)) continue;
    const begin = condition.id.slice(0, -"condition".length);
    const of = (id: string) => service.properties.find((one) => one.id === begin + id);
    const temperature = of("temperature");
    if (!temperature && !of("humidity") && !of("wind-speed")) continue;
    const said = text(service, condition.id);
    const [icon, words] = (said && CONDITIONS[said]) || ["cloudy", said ?? null];
    // Some units stand in the name of what is measured.
    const named = (id: string) => of(id) ?? service.properties.find((one) => one.id.startsWith(`${begin}${id}-`));
    return { icon: icon as IconName, words, condition, temperature, rest: [...new Set(REST.flatMap((id) => named(id) ?? []))] };
  }
  return null;
}

/** The first thing that such a service says, of what has a value. */
export function firstOf(service: Service): Property | undefined {
  const main = mainOf(service);
  return main.find((one) => service.values?.[one.id]) ?? main[0];
}
/** What a thing of one value is shown as. */
export function iconOf(service: Service): IconName {
  const weather = weatherOf(service);
  if (weather) return weather.icon;
  const first = firstOf(service);
  if (!first) return "list";
  return first.format === "bool" ? (first.write ? "switch" : "check") : first.format === "text" ? "text" : first.format === "enum" || first.format === "texts" ? "list" : "gauge";
}
export const saidOf = (service: Service, of: Property | undefined): string | null => {
  const value = of && service.values?.[of.id];
  return of && value ? shown(of, value) : null;
};
