export async function probe(_folder: string): Promise<void> {}
