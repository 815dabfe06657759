// Draws panels of the generated dashboards with Grafana's own components; window.drawPanels takes panels with the answers to their queries.
import { createRoot } from "react-dom/client";
import {
  FieldConfigOptionsRegistry, FieldType, ThemeContext, applyFieldOverrides, cacheFieldDisplayNames, createTheme, dateTime,
  getFieldDisplayValues, identityOverrideProcessor, standardTransformers, standardTransformersRegistry, toDataFrame,
  transformDataFrame,
} from "@grafana/data";
import {
  BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater,
} from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { firstValueFrom } from "rxjs";

const transformers = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((one) => ({ id: one.id, name: one.name, transformation: async () => one })));

// A panel plugin registers the settings that it reads; here every setting that the panel has is one.
function settingsOf(panel) {
  const { defaults, overrides } = panel.fieldConfig;
  const ids = new Set(Object.keys(defaults).filter((name) => name !== "custom"));
  for (const name of Object.keys(defaults.custom ?? {})) ids.add(`custom.${name}`);
  for (const override of overrides) for (const property of override.properties) ids.add(property.id);
  return new FieldConfigOptionsRegistry(() => [...ids].map((id) => ({
    id, path: id.replace(/^custom\./, ""), isCustom: id.startsWith("custom."), name: id,
    process: identityOverrideProcessor, shouldApply: () => true, override: null, editor: null,
  })));
}

// Frames as Grafana's Prometheus data source makes them: one a series, or one a query for a table.
function framesOf(panel, results) {
  return panel.targets.flatMap((target, index) => {
    const found = results[index].filter((series) => series.points.length);
    if (target.format !== "table") {
      return found.map(({ labels, points }) => toDataFrame({ refId: target.refId, fields: [
        { name: "Time", type: FieldType.time, values: points.map((point) => point[0] * 1000) },
        { name: "Value", type: FieldType.number, labels, values: points.map((point) => point[1]),
          config: { displayNameFromDS: target.legendFormat
            ? target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "") : undefined } },
      ] }));
    }
    const names = [...new Set(found.flatMap((series) => Object.keys(series.labels)))].filter((name) => name !== "__name__");
    return [toDataFrame({ refId: target.refId, fields: [
      { name: "Time", type: FieldType.time, values: found.map((series) => series.points[0][0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, values: found.map((series) => series.labels[name] ?? "") })),
      { name: panel.targets.length > 1 ? `Value #${target.refId}` : "Value", type: FieldType.number,
        values: found.map((series) => series.points[0][1]) },
    ] })];
  });
}

// What Grafana fills into a link: the text of the cell that it is on, and what other fields of its row hold.
function replaceVariables(text, scoped) {
  const { field, frame, rowIndex } = scoped?.__dataContext?.value ?? {};
  if (rowIndex === undefined) return text;
  return text.replaceAll("${__value.text}", field.display(field.values[rowIndex]).text)
    .replaceAll(/\$\{__data\.fields\.(\w+)(:percentencode)?\}/g, (_, name) =>
      encodeURIComponent(frame.fields.find((one) => one.name === name)?.values[rowIndex] ?? ""));
}

async function dataOf(panel, results, theme) {
  const frames = await firstValueFrom(transformDataFrame(panel.transformations ?? [], framesOf(panel, results)));
  const data = applyFieldOverrides({ data: frames, fieldConfig: panel.fieldConfig, replaceVariables, theme,
    fieldConfigRegistry: settingsOf(panel), timeZone: "utc" });
  cacheFieldDisplayNames(data);
  return data;
}

function Stat({ panel, data, theme, width, height }) {
  const { options } = panel;
  const values = getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: options.reduceOptions,
    replaceVariables, theme, data, sparkline: options.graphMode !== "none", timeZone: "utc" });
  return (
    <VizRepeater source={values} getValues={() => values} width={width} height={height} orientation={options.orientation}
      itemSpacing={3} autoGrid renderCounter={1} renderValue={({ value, width, height, count, orientation }) => (
        <div data-value={value.display.text} data-name={value.display.title ?? ""} data-colour={value.display.color}
          data-links={value.hasLinks ? value.getLinks({}).map((link) => link.href).join(" ") : ""}>
          <BigValue value={value.display} count={count} sparkline={value.sparkline} colorMode={options.colorMode}
            graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode}
            parentOrientation={orientation} theme={theme} width={width} height={height} />
        </div>
      )} />
  );
}

function Series({ panel, data, range, width, height }) {
  return <TimeSeries frames={data} width={width} height={height} timeRange={range} timeZone="utc" structureRev={1}
    legend={panel.options.legend} options={panel.options} />;
}

function Grid({ panel, data, width, height }) {
  return <TableNG data={data[0]} width={width} height={height} showTypeIcons={false} noHeader={!panel.options.showHeader}
    sortBy={panel.options.sortBy} sortByBehavior="initial" fieldConfig={panel.fieldConfig} timeRange={undefined} structureRev={1}
    getActions={() => []} />;
}

const DRAWN = { stat: Stat, timeseries: Series, table: Grid };
const CELL = { width: 1400 / 24, height: 38 };

window.drawPanels = async (mode, from, to, drawn) => {
  const theme = createTheme({ colors: { mode } });
  const range = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  const panels = await Promise.all(drawn.map(async ({ panel, results }) =>
    ({ panel, data: await dataOf(panel, results, theme) })));
  const host = document.getElementById("host");
  host.replaceChildren();
  const top = Math.min(...panels.map(({ panel }) => panel.gridPos.y));
  host.style.height = `${CELL.height * Math.max(...panels.map(({ panel: { gridPos } }) => gridPos.y - top + gridPos.h))}px`;
  document.body.style.background = theme.colors.background.canvas;
  createRoot(host).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      {panels.map(({ panel, data }) => {
        const at = panel.gridPos, Drawing = DRAWN[panel.type];
        const [width, height] = [at.w * CELL.width - 8, at.h * CELL.height - 8];
        const empty = !data.some((frame) => frame.length);
        return (
          <div key={panel.id} data-panel={panel.id} data-title={panel.title}
            style={{ position: "absolute", left: at.x * CELL.width, top: (at.y - top) * CELL.height, width, height }}>
            <PanelChrome title={panel.title} width={width} height={height} padding={panel.type === "table" ? "none" : "sm"}>
              {(innerWidth, innerHeight) => empty
                ? <p className="empty">{panel.fieldConfig.defaults.noValue}</p>
                : <Drawing panel={panel} data={data} theme={theme} range={range} width={innerWidth} height={innerHeight} />}
            </PanelChrome>
          </div>
        );
      })}
    </ThemeContext.Provider>);
  // What Grafana made of each field, for the test to read.
  return Object.fromEntries(panels.map(({ panel, data }) => [panel.id, data.flatMap((frame) => frame.fields
    .filter((field) => field.type !== FieldType.time).map((field) => {
      const last = field.values.at(-1), shown = field.display(last);
      return { name: field.state.displayName ?? field.name, last, colour: shown.color, unit: field.config.unit,
        text: `${shown.prefix ?? ""}${shown.text}${shown.suffix ?? ""}`,
        thresholds: field.config.thresholds?.steps ?? [], custom: field.config.custom ?? {} };
    }))]));
};
