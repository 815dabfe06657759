// A generated dashboard in Grafana's own types. JSON holds the values of enums, not the enums, and leaves out the
// options that Grafana has a default for.

import type * as grafana from "@grafana/schema";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as statetimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Partly<T> = T extends (infer Item)[] ? Partly<Item>[] : T extends object ? { [K in keyof T]?: Partly<T[K]> } : T;

// What the Prometheus plugin reads; its types are not published with the schema.
interface Query extends grafana.DataQuery {
  expr: string;
  format: "time_series" | "table" | "heatmap";
  interval?: string;
  instant?: boolean;
  range?: boolean;
  legendFormat?: string;
  exemplar?: boolean;
}
interface Annotation extends grafana.AnnotationQuery {
  expr: string;
  titleFormat: string;
}

type Panel<Type extends string, Options, Custom = never> = Omit<
  grafana.Panel,
  "type" | "options" | "fieldConfig" | "targets"
> & {
  type: Type;
  options?: Partly<Options>;
  fieldConfig: {
    defaults: Omit<grafana.FieldConfig, "custom"> & { custom?: Partly<Custom> };
    overrides: grafana.FieldConfigSource["overrides"];
  };
  targets: Query[];
};

type AnyPanel =
  | Panel<"stat", stat.Options>
  | Panel<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | Panel<"table", table.Options, table.FieldConfig>
  | Panel<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | Panel<"state-timeline", statetimeline.Options, statetimeline.FieldConfig>
  | Omit<grafana.RowPanel, "panels"> & { panels: [] };

export type Dashboard = Json<
  Omit<grafana.Dashboard, "panels" | "annotations"> & { panels: AnyPanel[]; annotations: { list: Annotation[] } }
>;
