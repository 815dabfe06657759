// A sales agent on the AI SDK of Vercel. It is traced as its makers describe it, and knows nothing of AgentGauge:
// the standard variables of OpenTelemetry say where its spans go.
import { createAnthropic } from "@ai-sdk/anthropic";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { MODEL, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SERVICE_NAME, PROVIDER_URL } = process.env;

const exporter = OTEL_EXPORTER_OTLP_PROTOCOL === "http/json" ? new JsonExporter() : new ProtobufExporter();
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": OTEL_SERVICE_NAME! }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();

const model = createAnthropic({ apiKey: "k", baseURL: `${PROVIDER_URL}/v1` })(MODEL!);
const experimental_telemetry = { isEnabled: true, functionId: "answer", metadata: { sessionId: "c-1" } };
const common = { model, maxRetries: 0, experimental_telemetry };

const tools = {
  when_renews: tool({
    description: "When an account renews",
    inputSchema: z.object({ account: z.string() }),
    execute: async ({ account }) => {
      if (account === "down") throw new RangeError("the CRM is down");
      return "March";
    },
  }),
};

async function answer(question: string): Promise<void> {
  await generateText({ ...common, prompt: question, tools, stopWhen: stepCountIs(3) });
}

await answer("When does Globex renew? This is a secret.");

const streamed = streamText({ ...common, prompt: "Say it again, slowly." });
for await (const _part of streamed.textStream);

try {
  await answer("And now?");
} catch (error) {
  console.log((error as Error).name);
}
await provider.shutdown();
