// Certificates for servers of tests, by the openssl of the machine: an authority of one's own, and what it has signed.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority, a server's certificate for 127.0.0.1 and localhost, and a client's. */
export function makeCertificates(): { ca: string; server: Certificate; client: Certificate } {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-test-tls-'));
  const openssl = (...words: string[]): void => void execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const signed = (name: string): Certificate => {
    openssl('req', ...curve, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-out', `${name}.pem`);
    return { cert: read(`${name}.pem`), key: read(`${name}.key`) };
  };
  try {
    writeFileSync(join(folder, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
    openssl('req', '-x509', ...curve, '-subj', '/CN=ours', '-days', '2', '-keyout', 'ca.key', '-out', 'ca.pem');
    return { ca: read('ca.pem'), server: signed('server'), client: signed('client') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
