// sqs-consumer with one POST per message, or with its batch handler and one POST per batch.
import { Consumer } from "sqs-consumer";

const url = process.env.BENCH_URL;

async function post(body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  await response.arrayBuffer(); // frees the connection for the next request
  if (!response.ok) throw new Error(`the event API answered ${response.status}`);
}

const each = {
  handleMessage: async (message) => {
    await post(message.Body);
    return message;
  },
};
const batch = {
  handleMessageBatch: async (messages) => {
    await post(`[${messages.map((message) => message.Body).join(",")}]`);
    return messages;
  },
};

const consumer = Consumer.create({
  queueUrl: process.env.BENCH_QUEUE,
  batchSize: 10,
  ...(process.argv[2] === "batch" ? batch : each),
});
for (const event of ["error", "processing_error", "timeout_error"]) {
  consumer.on(event, (error) => console.error(event, error.message));
}
consumer.start();
