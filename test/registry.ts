// A real schema registry (Apicurio, in memory) on loopback, spoken to by its Confluent-compatible interface. It ends with
// the process that started it.
import { registryJar } from './java-services.ts';
import { freePorts, startWatched, type Watched } from './watched.ts';

export class Registry {
  readonly url: string;
  private readonly port: number;
  private process: Watched | undefined;

  private constructor(port: number) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  }

  static async start(): Promise<Registry> {
    const registry = await Registry.away();
    await registry.restart();
    return registry;
  }

  /** One that has an address, and is not there yet. */
  static async away(): Promise<Registry> {
    const [port] = await freePorts(1);
    return new Registry(port!);
  }

  /** On the same port; it comes back empty. */
  async restart(): Promise<void> {
    const words = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dquarkus.http.host=127.0.0.1'];
    this.process = await startWatched(
      'java',
      [...words, `-Dquarkus.http.port=${this.port}`, '-jar', registryJar],
      /Listening on: http/,
    );
  }

  async stop(): Promise<void> {
    await this.process?.kill();
  }
}
