/** The protocols that services carry: TCP, which is the default, and UDP. SCTP is not; that is said where a service asks for it. */
export function carriedProtocol(protocol: string | undefined): 'TCP' | 'UDP' | undefined {
  return protocol === undefined || protocol === 'TCP' ? 'TCP' : protocol === 'UDP' ? 'UDP' : undefined;
}
