// Reads the JSON API. Every failure is an ApiError, whose message can be shown to users.

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function get(path, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  let response;
  try {
    response = await fetch(query ? `${path}?${query}` : path, { signal: AbortSignal.timeout(10_000), headers: { accept: "application/json" } });
  } catch {
    throw new ApiError("this page's server does not answer", 0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) throw new ApiError(body?.reason ?? `the server answered ${response.status}`, response.status);
  return body;
}
